// The small parts: keys, routes, the response writer, the log's lines, the wake queue, where a
// model lies.

#include "server/keys.h"
#include "server/log.h"
#include "server/model_folder.h"
#include "server/response_writer.h"
#include "server/router.h"
#include "server/wake_queue.h"

#include <poll.h>
#include <sys/stat.h>
#include <atomic>
#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace quire::server {
namespace {

namespace fs = std::filesystem;

class Folder final {
 public:
  Folder() : path_(fs::temp_directory_path() / ("quire-parts-" + std::to_string(::getpid()))) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

TEST_CASE("keys: known digests, kinds, reload") {
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Keys keys;
  CHECK_FALSE(keys.configured());
  CHECK(keys.check("") == KeyKind::kAdmin);  // nothing is asked for
  REQUIRE(keys.parse("a:" + sha256_hex("one") + "\r\n# x\n\nb:" + sha256_hex("two") + ":admin", "f")
              .ok());
  CHECK(keys.check("one") == KeyKind::kUser);
  CHECK(keys.check("two") == KeyKind::kAdmin);
  CHECK(keys.check("") == KeyKind::kNone);
  CHECK(keys.check("on") == KeyKind::kNone);
  CHECK(keys.check(sha256_hex("one")) == KeyKind::kNone);
  // A broken file leaves the keys as they are.
  for (const std::string& bad :
       {std::string(""), std::string("a:12"), std::string("no colon"), ":" + sha256_hex("x"),
        "a b:" + sha256_hex("x"), "a:" + sha256_hex("x") + ":root", "a:" + sha256_hex("x") + "0",
        "a:" + std::string(64, 'g')}) {
    INFO(bad);
    const auto result = keys.parse(bad, "the-file");
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().param.starts_with("the-file"));
  }
  CHECK(keys.check("one") == KeyKind::kUser);
  REQUIRE(keys.parse("c:" + sha256_hex("three"), "f").ok());
  CHECK(keys.check("one") == KeyKind::kNone);
  CHECK(keys.check("three") == KeyKind::kUser);
}

TEST_CASE("tenants are names, not keys, and no admin that only looks") {
  const auto tenants = [](const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    Keys keys;
    REQUIRE(keys.parse(text, "f").ok());
    return keys.num_tenants();
  };
  const std::string one = sha256_hex("one");
  const std::string two = sha256_hex("two");
  CHECK(Keys().num_tenants() == 0);
  CHECK(tenants({"a:" + one}) == 1);
  CHECK(tenants({"a:" + one, "a:" + two}) == 1);
  CHECK(tenants({"a:" + one, "b:" + two}) == 2);
  CHECK(tenants({"a:" + one, "root:" + two + ":admin"}) == 1);
  CHECK(tenants({"root:" + one + ":admin", "toor:" + two + ":admin"}) == 2);
}

TEST_CASE("keys: the file is its owner's alone") {
  const Folder folder;
  const fs::path file = folder / "keys";
  std::ofstream(file) << "a:" << sha256_hex("one") << "\n";
  Keys keys;
  for (const mode_t mode : {0644, 0640, 0604}) {
    chmod(file.c_str(), mode);
    CHECK_FALSE(keys.load(file).ok());
  }
  chmod(file.c_str(), 0600);
  CHECK(keys.load(file).ok());
  CHECK_FALSE(keys.load(folder / "absent").ok());
}

TEST_CASE("salts: the tenant is the key's name, and a client's cache_salt only narrows it") {
  Keys keys;
  CHECK(keys.name_of("anything").empty());  // no keys: one tenant
  const std::string lines = "alice:" + sha256_hex("a") + "\nbob:" + sha256_hex("b") + "\n";
  REQUIRE(keys.parse(lines, "keys"));
  CHECK(keys.name_of("a") == "alice");
  CHECK(keys.name_of("b") == "bob");
  CHECK(keys.name_of("c").empty());

  const std::optional<std::string> none;
  CHECK(keys.salt("alice", none) == keys.salt("alice", none));
  CHECK_FALSE(keys.salt("alice", none) == keys.salt("bob", none));
  CHECK_FALSE(keys.salt("alice", none) == keys.salt("alice", ""));
  CHECK_FALSE(keys.salt("alice", "x") == keys.salt("alice", "y"));
  CHECK_FALSE(keys.salt("alice", "x") == keys.salt("bob", "x"));
  CHECK_FALSE(keys.salt("a/b", none) == keys.salt("a", "b"));
  CHECK_FALSE(Keys().salt("alice", none) == keys.salt("alice", none));  // the secret is drawn
}

TEST_CASE("bearer") {
  CHECK(Keys::bearer("Bearer abc") == "abc");
  CHECK(Keys::bearer("bEARER  abc") == "abc");
  CHECK(Keys::bearer("Bearer ").empty());
  CHECK(Keys::bearer("Bearerabc").empty());
  CHECK(Keys::bearer("Basic abc").empty());
  CHECK(Keys::bearer("").empty());
}

TEST_CASE("routes: found, not found, wrong method") {
  CHECK(find_route(routes(), "GET", "/health").route != nullptr);
  CHECK(find_route(routes(), "HEAD", "/health").route != nullptr);
  CHECK(find_route(routes(), "GET", "/health/").route == nullptr);
  CHECK(find_route(routes(), "GET", "/HEALTH").route == nullptr);
  CHECK(find_route(routes(), "GET", "//health").route == nullptr);
  CHECK(find_route(routes(), "get", "/health").route == nullptr);
  CHECK(find_route(routes(), "DELETE", "/v1/models/x").allow == "GET, HEAD");
  CHECK(find_route(routes(), "GET", "/v1/models/").route == nullptr);
  CHECK(find_route(routes(), "GET", "/v1/models/org/name").path_arg == "org/name");
  CHECK(find_route(routes(), "GET", "/v1/models/org%2Fname").path_arg == "org/name");
  std::size_t open = 0;
  for (const Route& route : routes()) open += route.access == Access::kOpen;
  CHECK(open == 4);  // health and livez; the web page, which has no data of its own
}

TEST_CASE("a response: whole, to HEAD, to HTTP/1.0") {
  const auto written = [](const HttpRequest& request, bool keep_alive,
                          const HttpResponse& response) {
    ResponseWriter writer(request, keep_alive);
    writer.add_field("X-A", "b");
    writer.respond(response);
    std::string out;
    writer.take(out);
    CHECK(writer.ended());
    CHECK_FALSE(writer.has_output());
    return out;
  };
  HttpRequest request;
  const std::string whole = written(request, true, {.status = 200, .body = "{}"});
  CHECK(whole.starts_with("HTTP/1.1 200 OK\r\nServer: quire\r\nDate: "));
  CHECK(whole.find("\r\nX-A: b\r\n") != std::string::npos);
  CHECK(whole.ends_with("Content-Length: 2\r\n\r\n{}"));
  CHECK(written(request, false, {.status = 404, .body = "x"}).find("Connection: close") !=
        std::string::npos);
  request.method = "HEAD";
  CHECK(
      written(request, true, {.status = 200, .body = "{}"}).ends_with("Content-Length: 2\r\n\r\n"));
  request = HttpRequest{};
  request.version = 10;
  CHECK(written(request, true, {.status = 200, .body = ""}).find("Connection: keep-alive") !=
        std::string::npos);
}

TEST_CASE("a stream: events between two takes share a chunk") {
  ResponseWriter writer(HttpRequest{}, true);
  writer.start_stream();
  std::string out;
  writer.take(out);
  CHECK(out.find("Transfer-Encoding: chunked") != std::string::npos);
  out.clear();
  writer.event("{}");
  writer.event("[1]");
  writer.take(out);
  CHECK(out == "15\r\ndata: {}\n\ndata: [1]\n\n\r\n");
  out.clear();
  writer.ping();
  writer.end_stream();
  CHECK(writer.has_output());
  writer.take(out);
  CHECK(out == "16\r\n: ping\n\ndata: [DONE]\n\n\r\n0\r\n\r\n");
  CHECK_FALSE(writer.has_output());
  HttpRequest old;
  old.version = 10;
  ResponseWriter plain(old, true);
  plain.start_stream();
  plain.event("{}");
  plain.end_stream();
  out.clear();
  plain.take(out);
  CHECK(out.find("chunked") == std::string::npos);
  CHECK(out.find("Connection: close") != std::string::npos);
  CHECK(out.ends_with("\r\n\r\ndata: {}\n\ndata: [DONE]\n\n"));
}

TEST_CASE("log lines are one line, whatever is in them") {
  const std::string nasty = "a\"b\\c\nd\re\x01";
  const std::string text = format_log_line(LogFormat::kText, "it happened",
                                           {{"id", nasty}, {"n", std::int64_t{3}}, {"ms", 1.5}});
  CHECK(text.find('\n') == std::string::npos);
  CHECK(text.ends_with(" n=3 ms=1.500"));
  const auto parsed = nlohmann::json::parse(
      "{" +
      format_log_line(LogFormat::kJson, "it happened", {{"id", nasty}, {"n", std::int64_t{3}}}) +
      "}");
  CHECK(parsed.at("message") == "it happened");
  CHECK(parsed.at("id") == nasty);
  CHECK(parsed.at("n") == 3);
}

struct CountingWaker final : Waker {
  explicit CountingWaker(WakeQueue& queue) : Waker(queue) {}
  ~CountingWaker() override { leave_queue(); }
  void woken() override { ++count; }
  int count = 0;
};

TEST_CASE("no wake is lost between threads, and none is counted twice") {
  WakeQueue queue;
  {
    std::vector<std::unique_ptr<CountingWaker>> wakers;
    for (int i = 0; i < 8; ++i) wakers.push_back(std::make_unique<CountingWaker>(queue));
    wakers[0]->on_ready();
    wakers[0]->on_ready();
    wakers[1]->on_ready();
    queue.run();
    CHECK(wakers[0]->count == 1);
    CHECK(wakers[1]->count == 1);
    CHECK(wakers[2]->count == 0);

    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&wakers, &stop] {
        while (!stop) {
          for (auto& waker : wakers) waker->on_ready();
        }
      });
    }
    for (int round = 0; round < 200; ++round) {
      pollfd ready{queue.fd(), POLLIN, 0};
      CHECK(poll(&ready, 1, 10000) == 1);
      queue.run();
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    queue.run();
    for (const auto& waker : wakers) CHECK(waker->count > 0);
    wakers[3]->on_ready();  // destroyed while it is queued
  }
  queue.run();
}

TEST_CASE("a model is a folder or a name in the cache") {
  const Folder folder;
  const fs::path snapshot = folder / "hub/models--org--name/snapshots/abc123";
  fs::create_directories(snapshot);
  fs::create_directories(folder / "hub/models--org--name/refs");
  std::ofstream(folder / "hub/models--org--name/refs/main") << "abc123\n";
  CHECK(find_model_folder(snapshot.string(), folder.path()) == snapshot);
  CHECK(find_model_folder("org/name", folder.path()) == snapshot);
  for (const char* bad : {"org/other", "name", "../name", "org/..", "a/b/c", "/nonexistent", ""}) {
    INFO(bad);
    CHECK_THROWS_AS(find_model_folder(bad, folder.path()), StartupError);
  }
  std::ofstream(folder / "hub/models--org--name/refs/main") << "../../../etc";
  CHECK_THROWS_AS(find_model_folder("org/name", folder.path()), StartupError);
  CHECK(default_model_name("org/name", snapshot) == "org/name");
  CHECK(default_model_name(snapshot.string(), snapshot) == "abc123");
  CHECK(default_model_name("", snapshot) == "quire-default");
}

}  // namespace
}  // namespace quire::server
