#include "server/log.h"

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

#include "proto/json_writer.h"

namespace quire::server {
namespace {

using proto::append_escaped;  // JSON's escapes, in both formats

// Lines that wait for the writer; beyond, the oldest are dropped.
constexpr std::size_t kQueueLines = 1024;

struct Log {
  LogFormat format;
  std::shared_ptr<spdlog::details::thread_pool> writer;
  std::shared_ptr<spdlog::async_logger> logger;
};
std::unique_ptr<Log> owned_log;
std::atomic<Log*> current_log{nullptr};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

bool needs_quotes(std::string_view text) {
  return text.empty() || text.find_first_of(" =\"") != std::string_view::npos;
}

void append_value(std::string& out, const LogField& field, bool quote_always) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) {
    const bool quote = quote_always || needs_quotes(*text);
    if (quote) out += '"';
    append_escaped(out, *text);
    if (quote) out += '"';
  } else if (const auto* integer = std::get_if<std::int64_t>(&field.value)) {
    out += std::to_string(*integer);
  } else if (std::holds_alternative<std::monostate>(field.value)) {
    out += "null";
  } else {
    out += fmt::format("{:.3f}", std::get<double>(field.value));
  }
}

}  // namespace

std::string format_log_line(LogFormat format, std::string_view message,
                            std::initializer_list<LogField> fields) {
  std::string line;
  if (format == LogFormat::kText) {
    append_escaped(line, message);
    for (const LogField& field : fields) {
      line.append(" ").append(field.key).append("=");
      append_value(line, field, false);
    }
    return line;
  }
  line += "\"message\":\"";
  append_escaped(line, message);
  line += '"';
  for (const LogField& field : fields) {
    line.append(",\"").append(field.key).append("\":");
    append_value(line, field, true);
  }
  return line;
}

void start_log(LogLevel level, LogFormat format) {
  auto log = std::make_unique<Log>();
  log->format = format;
  log->writer = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
  auto sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
  log->logger = std::make_shared<spdlog::async_logger>(
      "quire", std::move(sink), log->writer, spdlog::async_overflow_policy::overrun_oldest);
  log->logger->set_pattern(format == LogFormat::kJson
                               ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})"
                               : "%Y-%m-%d %H:%M:%S.%e %l %v");
  log->logger->set_level(to_spdlog(level));
  current_log = log.get();
  owned_log = std::move(log);
}

void stop_log() {
  current_log = nullptr;
  owned_log.reset();
}

bool log_enabled(LogLevel level) {
  const Log* log = current_log;
  return log != nullptr && log->logger->should_log(to_spdlog(level));
}

void log_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  Log* log = current_log;
  if (log == nullptr || !log->logger->should_log(to_spdlog(level))) return;
  log->logger->log(to_spdlog(level), format_log_line(log->format, message, fields));
}

}  // namespace quire::server
