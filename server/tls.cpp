#include "server/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "proto/check.h"

namespace quire::server {
namespace {

Error bad_file(const std::string& file, const char* problem) {
  ERR_clear_error();
  return {ErrorCode::kInvalidRequest, problem, file};
}

// HTTP/1.1 for those who ask; who offers nothing that is known goes on without.
int choose_protocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* in, unsigned int in_size, void* /*context*/) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof kHttp11 - 1, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Result<std::shared_ptr<SSL_CTX>> make_context(const std::string& certificate_file,
                                              const std::string& key_file) {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (context == nullptr) return bad_file(certificate_file, "no TLS is to be had from OpenSSL");
  SSL_CTX* const ctx = context.get();
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(ctx, certificate_file.c_str()) != 1) {
    return bad_file(certificate_file, "holds no certificate that can be read (PEM)");
  }
  if (SSL_CTX_use_PrivateKey_file(ctx, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return bad_file(key_file, "holds no private key of the certificate that can be read (PEM)");
  }
  if (SSL_CTX_check_private_key(ctx) != 1) {
    return bad_file(key_file, "is not the key of the certificate");
  }
  return context;
}

int clamp_size(std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, INT_MAX)); }

}  // namespace

TlsLink::TlsLink(ssl_ctx_st* context, int socket) : ssl_(SSL_new(context)) {
  CHECK(ssl_ != nullptr);
  CHECK_EQ(SSL_set_fd(ssl_, socket), 1);
  SSL_set_accept_state(ssl_);
}

TlsLink::~TlsLink() { SSL_free(ssl_); }

// What OpenSSL says of a call that did not succeed.
TlsLink::Outcome TlsLink::outcome_of(int result) {
  const int error = SSL_get_error(ssl_, result);
  if (error == SSL_ERROR_WANT_READ) return Outcome::kWantsInput;
  if (error == SSL_ERROR_WANT_WRITE) return Outcome::kWantsRoom;
  if (error != SSL_ERROR_ZERO_RETURN) usable_ = false;  // not even a farewell can be sent
  ERR_clear_error();
  return Outcome::kClosed;
}

TlsLink::Outcome TlsLink::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result != 1) return outcome_of(result);
  usable_ = true;
  return Outcome::kDone;
}

TlsLink::Outcome TlsLink::read(std::span<char> room, std::size_t& taken) {
  ERR_clear_error();
  const int result = SSL_read(ssl_, room.data(), clamp_size(room.size()));
  if (result <= 0) return outcome_of(result);
  taken = static_cast<std::size_t>(result);
  return Outcome::kDone;
}

TlsLink::Outcome TlsLink::write(std::string_view bytes, std::size_t& taken) {
  ERR_clear_error();
  const int result = SSL_write(ssl_, bytes.data(), clamp_size(bytes.size()));
  if (result <= 0) return outcome_of(result);
  taken = static_cast<std::size_t>(result);
  return Outcome::kDone;
}

void TlsLink::end() {
  if (!std::exchange(usable_, false)) return;
  ERR_clear_error();
  (void)SSL_shutdown(ssl_);
  ERR_clear_error();
}

TlsContext::TlsContext(std::string certificate_file, std::string key_file)
    : certificate_file_(std::move(certificate_file)), key_file_(std::move(key_file)) {
  const auto loaded = reload();
  if (loaded) return;
  throw StartupError("TLS: " + loaded.error().param + ": " + loaded.error().message);
}

TlsContext::~TlsContext() = default;

Result<bool> TlsContext::reload() {
  auto fresh = make_context(certificate_file_, key_file_);
  if (!fresh) return fresh.error();
  const std::lock_guard lock(mutex_);
  context_ = std::move(*fresh);
  return true;
}

std::shared_ptr<ssl_ctx_st> TlsContext::current() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

std::unique_ptr<TlsLink> TlsContext::link(int socket) const {
  return std::make_unique<TlsLink>(current().get(), socket);  // which holds the context, too
}

}  // namespace quire::server
