// The OpenAPI document says what the parser does: each bound in it is tried on the parser.

#include "proto/openai.h"
#include "proto/openai_chat.h"
#include "proto/openapi.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace quire::proto {
namespace {

using nlohmann::json;

const RequestLimits kLimits{.vocab_size = 1000};

json document() { return json::parse(openapi_document()); }

bool accepts(const std::string& name, const json& value) {
  json request{{"prompt", "a"}, {"echo", true}, {"stream", true}};
  if (name == "best_of") request["n"] = value;
  request[name] = value;
  return parse_completion(request.dump(), kLimits).ok();
}

bool is_integer(const json& schema) { return schema["type"][0] == "integer"; }

void collect_references(const json& node, std::set<std::string>& found) {
  for (const auto& [key, value] : node.items()) {
    if (key == "$ref") found.insert(value.get<std::string>());
    if (value.is_structured()) collect_references(value, found);
  }
}

}  // namespace

TEST_CASE("the document is of this version and its references lead somewhere") {
  const json doc = document();
  CHECK(doc["info"]["version"] == QUIRE_VERSION);
  std::set<std::string> references;
  collect_references(doc, references);
  CHECK(references.size() > 10);
  for (const std::string& reference : references) {
    INFO(reference);
    CHECK(doc.contains(json::json_pointer(reference.substr(1))));
  }
}

TEST_CASE("the bounds of the document are the bounds of the parser") {
  int bounds = 0;
  const json fields = document()["components"]["schemas"]["CompletionRequest"]["properties"];
  for (const auto& [name, schema] : fields.items()) {
    INFO(name);
    if (name == "seed") continue;  // its bounds are those of the integer type itself
    if (schema.contains("minimum")) {
      CHECK(accepts(name, schema["minimum"]));
      if (is_integer(schema)) CHECK_FALSE(accepts(name, schema["minimum"].get<std::int64_t>() - 1));
      if (!is_integer(schema)) CHECK_FALSE(accepts(name, schema["minimum"].get<double>() - 0.01));
      ++bounds;
    }
    if (schema.contains("exclusiveMinimum")) {
      CHECK_FALSE(accepts(name, schema["exclusiveMinimum"]));
      CHECK(accepts(name, schema["exclusiveMinimum"].get<double>() + 0.01));
      ++bounds;
    }
    if (schema.contains("maximum")) {
      CHECK(accepts(name, schema["maximum"]));
      if (is_integer(schema)) CHECK_FALSE(accepts(name, schema["maximum"].get<std::int64_t>() + 1));
      if (!is_integer(schema)) CHECK_FALSE(accepts(name, schema["maximum"].get<double>() + 0.01));
      ++bounds;
    }
  }
  CHECK(bounds > 20);
}

TEST_CASE("the bounds of chat's own fields are the bounds of the parser") {
  const auto takes = [](const std::string& name, std::int64_t value) {
    const json message{{"role", "user"}, {"content", "a"}};
    json request{{"messages", json::array({message})}, {"logprobs", true}};
    request[name] = value;
    return parse_chat(request.dump(), kLimits).ok();
  };
  int bounds = 0;
  const json fields = document()["components"]["schemas"]["ChatCompletionRequest"]["properties"];
  for (const auto& [name, schema] : fields.items()) {
    INFO(name);
    if (!schema.contains("minimum")) continue;
    CHECK(takes(name, schema["minimum"]));
    CHECK_FALSE(takes(name, schema["minimum"].get<std::int64_t>() - 1));
    CHECK(takes(name, schema["maximum"]));
    CHECK_FALSE(takes(name, schema["maximum"].get<std::int64_t>() + 1));
    ++bounds;
  }
  CHECK(bounds == 3);
  CHECK(fields["messages"]["maxItems"] == kMaxMessages);
  CHECK(fields["tools"]["maxItems"] == kMaxTools);
}

TEST_CASE("the document's types are the parser's types") {
  const json fields = document()["components"]["schemas"]["CompletionRequest"]["properties"];
  const std::map<std::string, json> wrong{{"string", 1},  {"integer", "1"}, {"number", "1"},
                                          {"boolean", 1}, {"object", 1},    {"array", 1}};
  for (const auto& [name, schema] : fields.items()) {
    INFO(name);
    if (name != "prompt") CHECK(accepts(name, nullptr));
    if (!schema.contains("type")) continue;
    CHECK_FALSE(accepts(name, wrong.at(schema["type"][0].get<std::string>())));
    if (schema.contains("default")) CHECK(accepts(name, schema["default"]));
  }
}

TEST_CASE("the error table of the document is the wire's") {
  const json error =
      document()["components"]["schemas"]["Error"]["properties"]["error"]["properties"];
  for (int i = 0; i <= static_cast<int>(ErrorCode::kInternal); ++i) {
    const json body = json::parse(error_body({static_cast<ErrorCode>(i), "x"}))["error"];
    CHECK(error["type"]["enum"].dump().find(body["type"].dump()) != std::string::npos);
    if (body["code"].is_null()) continue;
    const auto described = error["code"]["description"].get<std::string>();
    CHECK(described.find(body["code"].get<std::string>()) != std::string::npos);
  }
}

}  // namespace quire::proto
