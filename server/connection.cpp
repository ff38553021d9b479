#include "server/connection.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace quire::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// A buffer that grew larger than this is given back after a request.
constexpr std::size_t kKeepBuffer = 4 * 1024;

void shrink(std::string& buffer) {
  if (buffer.empty() && buffer.capacity() > kKeepBuffer) std::string().swap(buffer);
}

}  // namespace

Connection::Connection(asio::io_context& context, Socket socket, const HttpLimits& limits,
                       std::span<char> scratch)
    : limits_(limits), scratch_(scratch), socket_(std::move(socket)), event_(context) {}

void Connection::open(const TlsContext* tls) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  if (tls != nullptr) tls_ = tls->link(socket_.native_handle());
}

void Connection::close() {
  closed_ = true;
  if (tls_ != nullptr && socket_.is_open()) tls_->end();
  error_code ignored;
  socket_.close(ignored);
}

void Connection::end_output() {
  if (tls_ != nullptr) tls_->end();
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void Connection::wake() {
  woken_ = true;
  event_.cancel();
}

void Connection::consume(std::size_t size) {
  input.erase(0, size);
  shrink(input);
}

Awaitable<void> Connection::wait_until(Clock::time_point deadline) {
  if (!woken_) {
    event_.expires_at(deadline);
    co_await event_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  woken_ = false;
}

void Connection::watch_for_input() {
  if (watching_input_ || gone() || full()) return;
  watching_input_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](error_code) {
    self->watching_input_ = false;
    self->wake();
  });
}

void Connection::watch_for_room() {
  if (watching_room_) return;
  watching_room_ = true;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](error_code) {
    self->watching_room_ = false;
    self->wake();
  });
}

bool Connection::read_some() {
  const std::size_t room =
      limits_.max_buffered_bytes - std::min(input.size(), limits_.max_buffered_bytes);
  if (gone() || room == 0) return false;
  const std::size_t size = std::min(room, scratch_.size());
  return tls_ != nullptr ? read_tls(size) : read_socket(size);
}

bool Connection::read_socket(std::size_t size) {
  error_code ec;
  const std::size_t n = socket_.read_some(asio::buffer(scratch_.data(), size), ec);
  if (ec == asio::error::would_block || ec == asio::error::interrupted) return false;
  if (ec) {
    peer_closed_ = true;
    return false;
  }
  input.append(scratch_.data(), n);
  return n > 0;
}

// Until the link has no more: what it holds decrypted, the socket's readiness does not tell of.
bool Connection::read_tls(std::size_t size) {
  std::size_t read = 0;
  while (read < size) {
    std::size_t n = 0;
    const TlsLink::Outcome outcome = tls_->read({scratch_.data(), size - read}, n);
    if (outcome == TlsLink::Outcome::kClosed) peer_closed_ = true;
    if (outcome != TlsLink::Outcome::kDone) break;
    input.append(scratch_.data(), n);
    read += n;
  }
  return read > 0;
}

// False: the connection is of no more use. Otherwise it took `sent` more bytes, or is watched until
// it takes some.
bool Connection::write_some(std::string_view bytes, std::size_t& sent) {
  if (tls_ == nullptr) {
    error_code ec;
    sent = socket_.write_some(asio::buffer(bytes.data(), bytes.size()), ec);
    if (ec == asio::error::would_block) watch_for_room();
    return !ec || ec == asio::error::would_block;
  }
  switch (tls_->write(bytes, sent)) {
    case TlsLink::Outcome::kDone:
      return true;
    case TlsLink::Outcome::kWantsRoom:
      watch_for_room();
      return true;
    case TlsLink::Outcome::kWantsInput:
      watch_for_input();
      return true;
    case TlsLink::Outcome::kClosed:
      return false;
  }
  return false;
}

Awaitable<bool> Connection::send() {
  std::size_t sent = 0;
  Clock::time_point deadline = Clock::now() + limits_.write_stall_timeout;
  while (sent < output.size() && !closed_) {
    std::size_t n = 0;
    if (!write_some(std::string_view(output).substr(sent), n) || Clock::now() >= deadline) {
      close();
      break;
    }
    sent += n;
    if (n > 0) {
      deadline = Clock::now() + limits_.write_stall_timeout;
      continue;
    }
    do {
      co_await wait_until(deadline);
    } while (watching_room_ && !closed_ && Clock::now() < deadline);
  }
  output.clear();
  shrink(output);
  co_return !closed_;
}

Awaitable<bool> Connection::shake_hands() {
  if (tls_ == nullptr) co_return true;
  const Clock::time_point deadline = Clock::now() + limits_.tls_handshake_timeout;
  while (!closed_ && Clock::now() < deadline) {
    switch (tls_->handshake()) {
      case TlsLink::Outcome::kDone:
        co_return true;
      case TlsLink::Outcome::kWantsInput:
        watch_for_input();
        break;
      case TlsLink::Outcome::kWantsRoom:
        watch_for_room();
        break;
      case TlsLink::Outcome::kClosed:
        co_return false;
    }
    co_await wait_until(deadline);
  }
  co_return false;
}

}  // namespace quire::server
