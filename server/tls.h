#pragma once
// TlsContext: certificate and key of the listener, and TlsLink: one connection's TLS, over a socket
// that does not block. OpenSSL, TLS 1.2 or later, no renegotiation; nothing of Asio.
//
// A context may be used from any thread while reload() replaces what new connections get; a link
// belongs to its connection's I/O thread, and its socket outlives it.
// 1. reload() replaces certificate and key together, or nothing.
// 2. A link whose outcome was kClosed is of no more use.

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "proto/error.h"

struct ssl_ctx_st;
struct ssl_st;

namespace quire::server {

class TlsLink final {
 public:
  enum class Outcome : std::uint8_t { kDone, kWantsInput, kWantsRoom, kClosed };

  TlsLink(ssl_ctx_st* context, int socket);
  ~TlsLink();
  TlsLink(const TlsLink&) = delete;
  TlsLink& operator=(const TlsLink&) = delete;

  [[nodiscard]] Outcome handshake();
  // At kDone `taken` bytes came or went, at least one.
  [[nodiscard]] Outcome read(std::span<char> room, std::size_t& taken);
  [[nodiscard]] Outcome write(std::string_view bytes, std::size_t& taken);
  // Tells the peer that nothing more comes, if that can be said now.
  void end();

 private:
  [[nodiscard]] Outcome outcome_of(int result);
  ssl_st* ssl_;
  bool usable_ = false;
};

class TlsContext final {
 public:
  // PEM files: the chain with the server's own certificate first, and its key. Throws StartupError
  // naming the file.
  TlsContext(std::string certificate_file, std::string key_file);
  ~TlsContext();

  // The same files read again. The error's param is the file that is at fault.
  [[nodiscard]] Result<bool> reload();
  [[nodiscard]] std::unique_ptr<TlsLink> link(int socket) const;

 private:
  [[nodiscard]] std::shared_ptr<ssl_ctx_st> current() const;
  const std::string certificate_file_, key_file_;
  mutable std::mutex mutex_;
  std::shared_ptr<ssl_ctx_st> context_;
};

}  // namespace quire::server
