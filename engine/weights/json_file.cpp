#include "engine/weights/json_file.h"

#include <set>
#include <string>
#include <vector>

#include "engine/weights/mapped_file.h"

namespace quire::engine {
namespace {

using nlohmann::json;

Error json_error(std::string_view name, std::string message) {
  return {ErrorCode::kInvalidRequest, std::move(message), std::string(name)};
}

// Watches a parse for what nlohmann/json lets through: depth and duplicate keys.
struct StrictCheck {
  std::vector<std::set<std::string>> keys;  // of each open object
  const char* problem = nullptr;

  bool operator()(int depth, json::parse_event_t event, const json& value) {
    if (problem != nullptr) return false;
    if (depth > kMaxJsonDepth) return fail("is nested too deeply");
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key &&
        !keys.back().insert(value.get_ref<const std::string&>()).second) {
      return fail("has a key twice");
    }
    return true;
  }
  bool fail(const char* what) {
    problem = what;
    return false;
  }
};

}  // namespace

Result<json> parse_json_object(std::string_view text, std::string_view name) {
  StrictCheck check;
  json value;
  try {
    value = json::parse(text, std::ref(check));
  } catch (const json::parse_error& error) {
    return json_error(name, "is not valid JSON at byte " + std::to_string(error.byte));
  } catch (const json::exception&) {
    return json_error(name, "is not valid JSON (a number out of range?)");
  }
  if (check.problem != nullptr) return json_error(name, check.problem);
  if (!value.is_object()) return json_error(name, "is not a JSON object");
  return value;
}

Result<json> read_json_file(const std::filesystem::path& path) {
  auto file = MappedFile::open(path);
  if (!file.ok()) return file.error();
  const auto bytes = file->bytes();
  if (bytes.size() > kMaxJsonBytes) return json_error(file->name(), "is longer than 16 MiB");
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return parse_json_object(text, file->name());
}

}  // namespace quire::engine
