#include "proto/sse.h"

#include "proto/check.h"

namespace quire::proto {

void append_sse(std::string& out, std::string_view json_line) {
  // A raw line break would end the event early; proto's own writers never emit one.
  CHECK(json_line.find_first_of("\r\n") == std::string_view::npos);
  out.reserve(out.size() + json_line.size() + 8);
  out += "data: ";
  out += json_line;
  out += "\n\n";
}

}  // namespace quire::proto
