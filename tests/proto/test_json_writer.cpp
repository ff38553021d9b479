#include "proto/json_writer.h"
#include "proto/sse.h"
#include "proto/utf8.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace quire::proto {
namespace {

std::string written(std::string_view text) {
  std::string out;
  JsonWriter(out).text(text);
  return out;
}

std::string written(float value) {
  std::string out;
  JsonWriter(out).number(value);
  return out;
}

// What a strict decoder with replacement would make of the bytes, one mark per ill-formed byte.
std::string repaired(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_front(text);
    out += length == 0 ? std::string_view("\xEF\xBF\xBD") : text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

}  // namespace

TEST_CASE("every byte and every character survives the writer") {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text{'a', static_cast<char>(byte), 'b'};
    CHECK(nlohmann::json::parse(written(text)).get<std::string>() == repaired(text));
  }
  for (const std::string_view text : {"\u00e9", "\u20ac", "\U0001F600", "\u0085", "\u2028",
                                      "\u2029", "\uffff", "\U0010FFFF", "\"\\/\b\f\n\r\t"}) {
    CHECK(nlohmann::json::parse(written(text)).get<std::string>() == text);
  }
}

TEST_CASE("random bytes become valid UTF-8 on one line") {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (auto i = random() % 40; i > 0; --i) {
      text += static_cast<char>(random() % 3 == 0 ? random() % 128 : random() % 256);
    }
    const std::string out = written(text);
    INFO("round " << round);
    CHECK(is_utf8(out));
    CHECK(out.find_first_of("\r\n") == std::string::npos);
    CHECK(nlohmann::json::parse(out).get<std::string>() == repaired(text));
  }
}

TEST_CASE("line separators are escaped, since stream readers break lines there") {
  CHECK(written("\u2028\u2029\u0085\x7f") == "\"\\u2028\\u2029\\u0085\\u007f\"");
}

TEST_CASE("utf8_front agrees with table 3-7 of Unicode") {
  CHECK(utf8_front("") == 0);
  CHECK(utf8_front("a") == 1);
  CHECK(utf8_front("\xC3\xA9") == 2);
  CHECK(utf8_front("\xE2\x82\xAC") == 3);
  CHECK(utf8_front("\xF0\x9F\x98\x80") == 4);
  for (const std::string_view bad :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x82", "\xC3", "\xF0\x9F\x98",
        "\xE2\x28\xA1", "\xC3\x28"}) {
    CHECK(utf8_front(bad) == 0);
  }
}

TEST_CASE("the beginning of a text ends with a whole character") {
  CHECK(utf8_prefix("abc", 3) == "abc");
  CHECK(utf8_prefix("abc", 2) == "ab");
  CHECK(utf8_prefix("a\u20ac", 4) == "a\u20ac");
  for (const std::size_t most : {1u, 2u, 3u}) CHECK(utf8_prefix("a\u20ac", most) == "a");
  for (const std::size_t most : {0u, 1u, 2u, 3u}) CHECK(utf8_prefix("\U0001F600", most).empty());
  CHECK(utf8_prefix(std::string(9, '\x80'), 8).size() == 8);  // no UTF-8: anywhere
}

TEST_CASE("an escaped text stops within its budget at a character") {
  std::string out;
  append_escaped(out, "ab\u20ac\ncd", 2);
  CHECK(out == "ab");
  out.clear();
  append_escaped(out, "ab\u20ac\ncd", 4);
  CHECK(out == "ab");
  out.clear();
  append_escaped(out, "ab\u20ac\ncd", 5);
  CHECK(out == "ab\u20ac");
  out.clear();
  append_escaped(out, "ab\u20ac\ncd", 8);
  CHECK(out == "ab\u20ac\\nc");
  out.clear();
  append_escaped(out, "ab", 0);
  CHECK(out.empty());
}

TEST_CASE("numbers are finite, have a fraction and read back to the same bits") {
  CHECK(written(0.0f) == "0.0");
  CHECK(written(-5.0f) == "-5.0");
  CHECK(written(-std::numeric_limits<float>::infinity()) == "-9999.0");
  CHECK(written(std::numeric_limits<float>::quiet_NaN()) == "-9999.0");
  std::mt19937 random(11);
  for (int round = 0; round < 5000; ++round) {
    float value = 0.0f;
    const auto bits = static_cast<std::uint32_t>(random());
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    CHECK(nlohmann::json::parse(written(value)).get<float>() == value);
  }
}

TEST_CASE("events are framed as one data line") {
  std::string out = "x";
  append_sse(out, R"({"a":1})");
  append_sse(out, "");
  CHECK(out == "xdata: {\"a\":1}\n\ndata: \n\n");
}

}  // namespace quire::proto
