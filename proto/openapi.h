#pragma once
// The HTTP surface as one OpenAPI document: the bytes of proto/openapi.yaml, which is written in
// YAML's JSON style so that they answer /openapi.json as they are. Built into the binary.

#include <string_view>

namespace quire::proto {

[[nodiscard]] std::string_view openapi_document();

}  // namespace quire::proto
