// quire serve: from a configuration to a daemon, and its orderly end.
//
// The listener comes first, so that /livez and /health answer while the model is loaded. One thread
// (this one) loads, waits, drains and takes down, in that order.

#include <arpa/inet.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "server/chat_template_file.h"
#include "server/commands/commands.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/model_folder.h"
#include "server/service.h"
#include "server/shutdown.h"

namespace quire::server {
namespace {

using Clock = std::chrono::steady_clock;

// By then the engine's thread runs, or has failed.
constexpr std::chrono::milliseconds kStartGrace{1000};
// For the last events of streams that were ended, and for a second signal.
constexpr std::chrono::milliseconds kFlushTime{1500};
// Connections of the listener for metrics.
constexpr int kMaxScrapers = 64;

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

void load_keys(Keys& keys, const ServeConfig& config) {
  if (config.api_key_file.empty()) {
    if (config.max_concurrent_per_key != 0) {
      throw UsageError("--max-concurrent-per-key: needs --api-key-file");
    }
    if (is_loopback(config.listener.host)) return;
    if (!config.insecure_no_auth) {
      throw UsageError("--host: " + config.listener.host +
                       " is not loopback; give --api-key-file, or --insecure-no-auth");
    }
    log_warning("anyone who reaches this address may use the API",
                {{"host", config.listener.host}});
    return;
  }
  const auto loaded = keys.load(config.api_key_file);
  if (!loaded) {
    throw UsageError("--api-key-file: " + loaded.error().param + ": " + loaded.error().message);
  }
}

// Pages that outlive the process need salts that do.
void load_secret(Keys& keys, const ServeConfig& config) {
  const engine::TierOptions& tiers = config.engine.tiers;
  std::filesystem::path file = config.cache_secret_file;
  if (file.empty() && !tiers.disk_path.empty()) {
    std::error_code made;
    std::filesystem::create_directories(tiers.disk_path, made);
    file = tiers.disk_path / "quire.secret";
  }
  if (file.empty()) {
    if (!tiers.remote) return;
    throw UsageError(
        "--kv-remote-url: replicas share pages only under one secret; give each the "
        "same --cache-secret-file");
  }
  const auto loaded = keys.load_secret(file);
  if (!loaded) {
    throw UsageError("--cache-secret-file: " + loaded.error().param + ": " +
                     loaded.error().message);
  }
}

void reload_keys(Keys& keys, const ServeConfig& config) {
  if (config.api_key_file.empty()) return;
  const auto loaded = keys.load(config.api_key_file);
  if (loaded) {
    log_info("API keys were read again", {{"keys", static_cast<std::int64_t>(loaded.value())}});
  } else {
    log_error("API keys are unchanged",
              {{"file", loaded.error().param}, {"problem", loaded.error().message}});
  }
}

// Null: plain.
std::unique_ptr<TlsContext> load_tls(const ServeConfig& config) {
  if (config.ssl_certfile.empty() != config.ssl_keyfile.empty()) {
    throw UsageError("--ssl-certfile: goes with --ssl-keyfile, and the other way round");
  }
  if (config.ssl_certfile.empty()) return nullptr;
  return std::make_unique<TlsContext>(config.ssl_certfile, config.ssl_keyfile);
}

void reload_tls(TlsContext* tls) {
  if (tls == nullptr) return;
  const auto loaded = tls->reload();
  if (loaded) {
    log_info("the certificate was read again");
  } else {
    log_error("the certificate is unchanged",
              {{"file", loaded.error().param}, {"problem", loaded.error().message}});
  }
}

// The listener for scrapers; null: none is wanted.
std::unique_ptr<HttpServer> metrics_server(const ServeConfig& config, Service& service) {
  if (!config.metrics_port) return nullptr;
  ListenerOptions options{.host = config.listener.host,
                          .port = *config.metrics_port,
                          .port_flag = "--metrics-port",
                          .max_connections = kMaxScrapers};
  auto server = std::make_unique<HttpServer>(options, service, nullptr, metrics_routes());
  server->start();
  log_info("metrics",
           {{"host", std::string_view(options.host)}, {"port", std::int64_t{server->port()}}});
  return server;
}

void log_configuration(const ServeConfig& config) {
  log_info("quire " QUIRE_VERSION);
  for (const auto& setting : config.effective) {
    log_info("setting", {{"name", std::string_view(setting.name)},
                         {"value", std::string_view(setting.value)},
                         {"from", std::string_view(setting.origin)}});
  }
}

ServiceOptions service_options(const ServeConfig& config, const std::filesystem::path& folder) {
  ServiceOptions options;
  options.http = config.http;
  options.model_name = config.served_model_name.empty() ? default_model_name(config.model, folder)
                                                        : config.served_model_name;
  options.allowed_origins = config.allowed_origins;
  options.use_generation_config = config.use_generation_config;
  options.max_concurrent_per_key = config.max_concurrent_per_key;
  options.log_content = config.log_content;
  return options;
}

// The log's thread is gone after it.
struct LogScope {
  explicit LogScope(const ServeConfig& config) { start_log(config.log_level, config.log_format); }
  ~LogScope() { stop_log(); }
};

// The work pool's threads are gone after it.
struct WorkScope {
  Service& service;
  ~WorkScope() { service.work().stop(); }
};

// Lets requests in flight finish, then ends the rest and lets their last words out.
void drain(Service& service, engine::Engine& engine, Shutdown& shutdown,
           std::chrono::milliseconds timeout) {
  const Clock::time_point deadline = Clock::now() + timeout;
  log_info("draining", {{"in_flight", service.in_flight()}});
  while (service.in_flight() > 0 && shutdown.terminations() < 2 && Clock::now() < deadline) {
    // In slices, so that a second signal is seen; nothing else waits on this thread.
    (void)service.wait_idle(std::min(deadline, Clock::now() + std::chrono::milliseconds(50)));
  }
  if (const std::int64_t left = service.in_flight(); left > 0) {
    log_warning("ending requests that are still in flight", {{"in_flight", left}});
  }
  service.begin_abort();
  engine.stop();
  (void)service.wait_idle(Clock::now() + kFlushTime);
}

int take_down(Service& service, engine::Engine& engine, Shutdown& shutdown,
              const ServeConfig& config) {
  if (const auto failure = shutdown.failure()) {
    log_error("the engine has failed", {{"error", std::string_view(*failure)}});
    std::fprintf(stderr, "quire: the engine has failed: %s\n", failure->c_str());
    (void)service.wait_idle(Clock::now() + kFlushTime);
    return 1;
  }
  drain(service, engine, shutdown, config.shutdown_timeout);
  return shutdown.failure() ? 1 : 0;
}

}  // namespace

int run_serve(const ServeConfig& config) {
  Shutdown::block_signals();
  const LogScope log(config);
  const auto folder = config.model.empty() ? find_default_model()
                                           : find_model_folder(config.model, hugging_face_home());
  Service service(service_options(config, folder));
  load_keys(service.keys(), config);
  load_secret(service.keys(), config);
  const std::unique_ptr<TlsContext> tls = load_tls(config);
  log_configuration(config);
  if (config.log_content) log_warning("prompts and outputs are written to the log");

  std::unique_ptr<engine::Engine> engine;  // outlives the connections
  const WorkScope work{service};           // and the jobs of the work pool
  HttpServer server(config.listener, service, tls.get());
  server.start();
  const std::unique_ptr<HttpServer> metrics = metrics_server(config, service);
  log_info("listening", {{"host", std::string_view(config.listener.host)},
                         {"port", std::int64_t{server.port()}},
                         {"max_connections", std::int64_t{server.max_connections()}}});
  Shutdown shutdown(
      [&service, &server](int count) {
        // While the model is loaded nothing is in flight and nothing can be waited for.
        if (count == 1 && service.phase() == Service::Phase::kLoading) std::_Exit(0);
        service.set_phase(Service::Phase::kDraining);
        if (engine::Engine* running = service.engine()) running->begin_drain();
        server.wake_all();
      },
      [&service, &config, &tls] {
        reload_keys(service.keys(), config);
        reload_tls(tls.get());
      });

  if (auto chat_template = load_chat_template(folder, config.chat_template)) {
    service.set_chat_template(std::move(*chat_template));
  } else {
    log_warning("the model has no chat template; /v1/chat/completions answers 400");
  }
  engine::EngineOptions options = config.engine;
  options.model_folder = folder;
  engine = engine::load_engine(options, [](const std::string& line) { log_info(line); });
  engine->set_fatal_handler([&service, &shutdown](const std::string& why) {
    service.set_phase(Service::Phase::kFailed);
    shutdown.fail(why);
  });
  service.set_engine(*engine);
  log_info("the model is loaded", {{"model", std::string_view(service.options().model_name)},
                                   {"backend", std::string_view(engine->info().backend)}});
  // A failure before the handler was set has told nobody.
  shutdown.wait(1, Clock::now() + kStartGrace);
  if (!engine->status().alive) shutdown.fail("it failed in its first steps");
  shutdown.wait(1);
  const int status = take_down(service, *engine, shutdown, config);
  if (metrics != nullptr) metrics->stop();
  server.stop();
  log_info("stopped", {{"status", std::int64_t{status}}});
  return status;
}

}  // namespace quire::server
