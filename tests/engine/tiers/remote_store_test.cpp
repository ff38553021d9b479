// The remote store: addresses; a real server where there is one; a server that is not there, does
// not answer, or answers nonsense.

#include "engine/tiers/remote_store.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/engine/tiers/records.h"

namespace quire::engine {
namespace {

// A port of the loopback; listening where asked for, and then never answering.
struct Port {
  explicit Port(bool listening) : socket(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    number = ntohs(address.sin_port);
    if (listening) REQUIRE(::listen(socket, 8) == 0);
  }
  ~Port() { ::close(socket); }
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  int socket;
  std::uint16_t number = 0;
};

// A server of its own on some port; null where redis-server is not installed.
struct Server {
  explicit Server(std::uint16_t on) : port(on) {
    child = ::fork();
    if (child == 0) {
      const std::string number = std::to_string(port);
      ::close(1);
      ::execlp("redis-server", "redis-server", "--port", number.c_str(), "--bind", "127.0.0.1",
               "--save", "", "--appendonly", "no", "--requirepass", "secret word", nullptr);
      ::_exit(127);
    }
  }
  ~Server() { stop(); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  void stop() {
    if (child <= 0) return;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    child = -1;
  }
  // False: it ended at once.
  bool running() {
    if (::waitpid(child, nullptr, WNOHANG) == 0) return true;
    child = -1;
    return false;
  }
  std::uint16_t port;
  pid_t child = -1;
};

RemoteOptions options_for(std::uint16_t port) {
  return {.address = {.host = "127.0.0.1", .port = port, .user = {}, .password = "secret word"},
          .shape = kShape};
}

std::uint16_t free_port() { return Port(false).number; }

StoreOutcome get(RemoteStore& store, const Span& span) {
  std::vector<std::byte> pages(kShape.page_bytes);
  const StoreOutcome outcome = store.read(span.key, span.tokens, pages);
  if (outcome == StoreOutcome::kDone) CHECK(std::ranges::equal(pages, span.pages));
  return outcome;
}

}  // namespace

TEST_CASE("addresses of remote stores") {
  const auto plain = parse_remote_url("redis://cache.local");
  REQUIRE(plain.ok());
  CHECK(plain.value().host == "cache.local");
  CHECK(plain.value().port == 6379);
  const auto whole = parse_remote_url("redis://joe:p%40ss:w@[::1]:7000/3");
  REQUIRE(whole.ok());
  CHECK(whole.value().host == "::1");
  CHECK(whole.value().port == 7000);
  CHECK(whole.value().user == "joe");
  CHECK(whole.value().password == "p@ss:w");
  CHECK(whole.value().db == 3);
  for (const char* bad : {"", "http://a", "redis://", "redis://:@a", "redis://a:0", "redis://a:x",
                          "redis://a:65536", "redis://a/x", "redis://[::1", "redis://secret@a",
                          "redis://:%zz@a", "redis://a:1:2", "redis://a/-1"}) {
    const auto parsed = parse_remote_url(bad);
    INFO(bad);
    CHECK_FALSE(parsed.ok());
  }
}

TEST_CASE("nobody listens: a failure, then not asked for a while") {
  RemoteStore store(options_for(free_port()));
  CHECK(store.is_up());
  CHECK(get(store, Span(1)) == StoreOutcome::kFailed);
  CHECK_FALSE(store.is_up());
  CHECK(get(store, Span(1)) == StoreOutcome::kAbsent);
  CHECK(store.write(Span(1).key, Span(1).tokens, Span(1).pages) == StoreOutcome::kAbsent);
  CHECK(store.counters().counts().failures == 1);
}

TEST_CASE("a server that never answers: a failure, not a wait") {
  const Port silent(true);
  RemoteStore store(options_for(silent.number));
  CHECK(get(store, Span(1)) == StoreOutcome::kFailed);
  CHECK_FALSE(store.is_up());
}

TEST_CASE("a server that talks nonsense: a failure") {
  const Port port(true);
  std::thread server([&] {
    const int peer = ::accept(port.socket, nullptr, nullptr);
    const char nonsense[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    (void)!::write(peer, nonsense, sizeof nonsense - 1);
    ::close(peer);
  });
  RemoteStore store(options_for(port.number));
  CHECK(get(store, Span(1)) == StoreOutcome::kFailed);
  server.join();
}

// A server of one connection that answers nothing before it has got all questions.
TEST_CASE("several records are asked for in one round trip, and what is not right is removed") {
  const Port port(true);
  RemoteOptions options = options_for(port.number);
  options.address.password.clear();
  std::string asked, removed;
  std::thread server([&] {
    const int peer = ::accept(port.socket, nullptr, nullptr);
    char buffer[1024];
    while (std::ranges::count(asked, 'G') < 3) {
      const ssize_t size = ::read(peer, buffer, sizeof buffer);
      if (size <= 0) break;
      asked.append(buffer, static_cast<std::size_t>(size));
    }
    const std::string_view answers = "$-1\r\n$3\r\nbad\r\n$-1\r\n";
    (void)!::write(peer, answers.data(), answers.size());
    const ssize_t size = ::read(peer, buffer, sizeof buffer);
    if (size > 0) removed.assign(buffer, static_cast<std::size_t>(size));
    (void)!::write(peer, ":1\r\n", 4);
    ::close(peer);
  });
  RemoteStore store(options);
  const std::array spans = {Span(1), Span(2), Span(3)};
  std::vector<std::byte> pages(kShape.page_bytes);
  std::vector<RemoteRead> reads;
  for (const Span& span : spans) {
    reads.push_back({.key = span.key, .tokens = span.tokens, .pages = pages});
  }
  store.read(reads);
  server.join();
  CHECK(reads[0].outcome == StoreOutcome::kAbsent);
  CHECK(reads[1].outcome == StoreOutcome::kCorrupt);
  CHECK(reads[2].outcome == StoreOutcome::kAbsent);
  CHECK(store.is_up());
  CHECK(removed.find("DEL") != std::string::npos);
  const std::size_t name = asked.find("quire:", asked.find("quire:") + 1);  // the second's
  CHECK(removed.find(asked.substr(name, 70)) != std::string::npos);
}

TEST_CASE("a real server: written by one, read by another, and down") {
  Server server(free_port());
  RemoteStore first(options_for(server.port)), second(options_for(server.port));
  const Span span(5);
  StoreOutcome written = StoreOutcome::kFailed;
  for (int i = 0; i < 100 && written != StoreOutcome::kDone; ++i) {
    if (!server.running()) {
      WARN("redis-server is not installed: not tested");
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    written = first.write(span.key, span.tokens, span.pages);
  }
  REQUIRE(written == StoreOutcome::kDone);
  CHECK(get(second, span) == StoreOutcome::kDone);
  CHECK(get(second, Span(6)) == StoreOutcome::kAbsent);
  CHECK(second.counters().counts().hits == 1);
  const Span other(7);  // whose tokens somebody else's pages are kept under
  REQUIRE(first.write(other.key, span.tokens, span.pages) == StoreOutcome::kDone);
  CHECK(get(second, other) == StoreOutcome::kCorrupt);
  CHECK(get(second, other) == StoreOutcome::kAbsent);
  server.stop();
  CHECK(get(second, span) == StoreOutcome::kFailed);
  CHECK(get(second, span) == StoreOutcome::kAbsent);
}

}  // namespace quire::engine
