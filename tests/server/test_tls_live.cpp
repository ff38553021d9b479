// TLS over live sockets: what is served, what is not, what a new certificate changes, and the
// listener for scrapers.

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include "server/tls.h"
#include "tests/server/live_server.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::server {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using testing::Client;
using testing::get;
using testing::LiveOptions;
using testing::LiveServer;
using testing::post;

// A certificate of this process' own, in two PEM files.
class Certificate final {
 public:
  explicit Certificate(int serial)
      : folder_(fs::temp_directory_path() / ("quire-tls-" + std::to_string(::getpid()))) {
    std::signal(SIGPIPE, SIG_IGN);  // as the daemon does
    fs::create_directories(folder_);
    renew(serial);
  }
  ~Certificate() { fs::remove_all(folder_); }

  void renew(int serial) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"),
                                                                  EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> x509(X509_new(), X509_free);
    ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), serial);
    X509_gmtime_adj(X509_getm_notBefore(x509.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509.get()), 3600);
    X509_set_pubkey(x509.get(), key.get());
    REQUIRE(X509_sign(x509.get(), key.get(), EVP_sha256()) != 0);
    const auto write = [](const std::string& path, auto print) {
      std::FILE* file = std::fopen(path.c_str(), "w");
      REQUIRE(file != nullptr);
      CHECK(print(file) == 1);
      std::fclose(file);
    };
    write(certificate(), [&](std::FILE* file) { return PEM_write_X509(file, x509.get()); });
    write(key_file(), [&](std::FILE* file) {
      return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  [[nodiscard]] std::string certificate() const { return folder_ / "cert.pem"; }
  [[nodiscard]] std::string key_file() const { return folder_ / "key.pem"; }

 private:
  fs::path folder_;
};

// A client that blocks; the certificate is looked at by the tests alone.
class TlsClient final {
 public:
  explicit TlsClient(std::uint16_t port, int newest = TLS1_3_VERSION)
      : socket_(port), context_(SSL_CTX_new(TLS_client_method())), ssl_(SSL_new(context_)) {
    SSL_set_security_level(ssl_, 0);
    SSL_set_min_proto_version(ssl_, TLS1_VERSION);
    SSL_set_max_proto_version(ssl_, newest);
    SSL_set_fd(ssl_, socket_.descriptor());
    connected_ = SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] long serial() const {
    const std::unique_ptr<X509, decltype(&X509_free)> peer(SSL_get1_peer_certificate(ssl_),
                                                           X509_free);
    return ASN1_INTEGER_get(X509_get0_serialNumber(peer.get()));
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const int n = SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
      REQUIRE(n > 0);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  // All that comes until `text` has, or the end.
  std::string read_until(std::string_view text) {
    std::string all;
    char bytes[4096];
    while (all.find(text) == std::string::npos) {
      const int n = SSL_read(ssl_, bytes, sizeof bytes);
      if (n <= 0) break;
      all.append(bytes, static_cast<std::size_t>(n));
    }
    return all;
  }

 private:
  Client socket_;
  SSL_CTX* context_;
  SSL* ssl_;
  bool connected_ = false;
};

TEST_CASE("requests, long bodies and streams over TLS") {
  const Certificate files(1);
  const TlsContext tls(files.certificate(), files.key_file());
  LiveOptions options;
  options.tls = &tls;
  LiveServer live(options);
  TlsClient client(live.port());
  REQUIRE(client.connected());
  for (int i = 0; i < 3; ++i) {  // one connection, several requests
    client.send(get("/livez"));
    CHECK(client.read_until("alive").find("200 OK") != std::string::npos);
  }
  client.send(post("/tokenize", "{\"prompt\":\"" + std::string(300000, 'a') + "\"}"));
  CHECK(client.read_until("\"count\":300000").find("200 OK") != std::string::npos);
  client.send(post("/v1/completions", R"({"prompt":"a","max_tokens":1500,"stream":true})"));
  const std::string stream = client.read_until("[DONE]");
  CHECK(stream.find("\"length\"") != std::string::npos);
  CHECK(stream.find("[DONE]") != std::string::npos);
}

TEST_CASE("older than TLS 1.2, and no TLS at all, are not served") {
  const Certificate files(1);
  const TlsContext tls(files.certificate(), files.key_file());
  LiveOptions options;
  options.tls = &tls;
  LiveServer live(options);
  CHECK(TlsClient(live.port(), TLS1_2_VERSION).connected());
  CHECK_FALSE(TlsClient(live.port(), TLS1_1_VERSION).connected());
  Client plain(live.port());
  plain.send(get("/livez"));
  CHECK(plain.at_end());
  CHECK(TlsClient(live.port()).connected());
}

TEST_CASE("who does not come to TLS in time is closed") {
  const Certificate files(1);
  const TlsContext tls(files.certificate(), files.key_file());
  LiveOptions options;
  options.tls = &tls;
  options.service.http.tls_handshake_timeout = 50ms;
  LiveServer live(options);
  Client silent(live.port());
  CHECK(silent.at_end());
  CHECK(TlsClient(live.port()).connected());
}

TEST_CASE("a client that leaves over TLS frees its place") {
  const Certificate files(1);
  const TlsContext tls(files.certificate(), files.key_file());
  LiveOptions options;
  options.tls = &tls;
  options.step_delay = 2ms;
  LiveServer live(options);
  {
    TlsClient client(live.port());
    client.send(post("/v1/completions", R"({"prompt":"a","max_tokens":1500,"stream":true})"));
    CHECK(client.read_until("\"text\"").find("\"text\"") != std::string::npos);
  }
  CHECK(live.wait_idle());
  CHECK(live.engine().status().requests_aborted == 1);
}

TEST_CASE("a new certificate serves new connections, a broken one changes nothing") {
  Certificate files(1);
  TlsContext tls(files.certificate(), files.key_file());
  LiveOptions options;
  options.tls = &tls;
  LiveServer live(options);
  TlsClient before(live.port());
  CHECK(before.serial() == 1);
  files.renew(2);
  REQUIRE(tls.reload().ok());
  CHECK(TlsClient(live.port()).serial() == 2);
  before.send(get("/livez"));
  CHECK_FALSE(before.read_until("alive").empty());

  fs::resize_file(files.key_file(), 10);
  const auto broken = tls.reload();
  REQUIRE_FALSE(broken.ok());
  CHECK(broken.error().param == files.key_file());
  CHECK(TlsClient(live.port()).serial() == 2);
  CHECK_THROWS_AS(TlsContext(files.certificate(), files.key_file()), StartupError);
  CHECK_THROWS_AS(TlsContext("nothing", files.key_file()), StartupError);
}

TEST_CASE("the listener for scrapers has its three routes and asks for no key") {
  LiveOptions options;
  options.table = metrics_routes();
  LiveServer live(options);
  REQUIRE(live.service().keys().parse("ann:" + sha256_hex("k-ann") + "\n", "keys").ok());
  Client client(live.port());
  CHECK(client.ask(get("/metrics")).body.find("quire_build_info") != std::string::npos);
  CHECK(client.ask(get("/health")).status == 200);
  CHECK(client.ask(get("/livez")).status == 200);
  CHECK(client.ask(get("/v1/models")).status == 404);
  CHECK(client.ask(post("/v1/completions", R"({"prompt":"a"})")).status == 404);
}

}  // namespace
}  // namespace quire::server
