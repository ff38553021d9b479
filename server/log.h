#pragma once
// The daemon's log: lines of text or JSON on standard output, written by a thread of the logger's
// own, so that a reader that stands still never holds up a request (the oldest lines go first).
//
// Any thread. Prompts, outputs, keys and header values are never given to it. Control characters in
// a field are escaped.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace quire::server {

enum class LogLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat : std::uint8_t { kText, kJson };

struct LogField {
  std::string_view key;
  std::variant<std::string_view, std::int64_t, double, std::monostate> value;  // the last: null
};

// Once, before the first line; lines before it are dropped.
void start_log(LogLevel level, LogFormat format);
// Writes what is queued. No line after it.
void stop_log();

[[nodiscard]] bool log_enabled(LogLevel level);
void log_line(LogLevel level, std::string_view message,
              std::initializer_list<LogField> fields = {});

inline void log_info(std::string_view message, std::initializer_list<LogField> fields = {}) {
  log_line(LogLevel::kInfo, message, fields);
}
inline void log_warning(std::string_view message, std::initializer_list<LogField> fields = {}) {
  log_line(LogLevel::kWarning, message, fields);
}
inline void log_error(std::string_view message, std::initializer_list<LogField> fields = {}) {
  log_line(LogLevel::kError, message, fields);
}

// The line without its time and level, as it is written (tests read it).
[[nodiscard]] std::string format_log_line(LogFormat format, std::string_view message,
                                          std::initializer_list<LogField> fields);

}  // namespace quire::server
