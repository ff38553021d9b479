#include "tests/server/http_corpus.h"

#include <utility>

namespace quire::server::testing {
namespace {

constexpr int kTaken = 0;

std::string repeat(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

// A POST with these further fields and what follows the header.
std::string post(std::string_view fields, std::string_view rest) {
  return "POST /tokenize HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n" +
         std::string(fields) + "\r\n" + std::string(rest);
}
std::string chunked(std::string_view rest) { return post("Transfer-Encoding: chunked\r\n", rest); }
std::string get(std::string_view fields) {
  return "GET /livez HTTP/1.1\r\n" + std::string(fields) + "\r\n";
}

void add_lengths(std::vector<HttpCase>& cases) {
  for (const char* value : {"5, 5", "5,5", "+5", "-5", "0x5", "5 5", "5;", "05a", " ", "",
                            "18446744073709551621", "99999999999999999999", "5\t5", "five"}) {
    cases.push_back({std::string("Content-Length: ") + value,
                     post("Content-Length: " + std::string(value) + "\r\n", "hello"), 400});
  }
  cases.push_back(
      {"two equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400});
  cases.push_back(
      {"two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), 400});
  cases.push_back({"body beyond the limit", post("Content-Length: 5000000\r\n", ""), 413});
  cases.push_back({"body far beyond", post("Content-Length: 999999999999999999\r\n", ""), 413});
}

void add_transfer_encodings(std::vector<HttpCase>& cases) {
  for (const char* value : {"gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked",
                            "chunked;q=1", "xchunked", "identity",
                            "\x0b"
                            "chunked",
                            "\"chunked\"", "chunked,", ",chunked", "chunked chunked"}) {
    cases.push_back({std::string("Transfer-Encoding: ") + value,
                     post("Transfer-Encoding: " + std::string(value) + "\r\n", "0\r\n\r\n"), 400});
  }
  cases.push_back({"chunked twice",
                   post("Transfer-Encoding: chunked\r\n"
                        "Transfer-Encoding: chunked\r\n",
                        "0\r\n\r\n"),
                   400});
  cases.push_back(
      {"CL.TE", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400});
  cases.push_back(
      {"TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400});
  cases.push_back(
      {"gzip then length", post("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", "hello"), 400});
  cases.push_back({"chunked in 1.0",
                   "POST /tokenize HTTP/1.0\r\nHost: h\r\nContent-Type: application/json\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                   400});
  cases.push_back(
      {"space before the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400});
  cases.push_back({"folded", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400});
  cases.push_back(
      {"gzip body", post("Content-Encoding: gzip\r\nContent-Length: 5\r\n", "hello"), 415});
  cases.push_back(
      {"Chunked in capitals", post("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n"), kTaken});
}

void add_chunks(std::vector<HttpCase>& cases) {
  const std::pair<const char*, std::string> bad[] = {
      {"no size", "\r\nhello\r\n0\r\n\r\n"},
      {"size with sign", "+5\r\nhello\r\n0\r\n\r\n"},
      {"size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"},
      {"space before size", " 5\r\nhello\r\n0\r\n\r\n"},
      {"bare LF after size", "5\nhello\r\n0\r\n\r\n"},
      {"bare CR after size", "5\rhello\r\n0\r\n\r\n"},
      {"wrong end of data", "5\r\nhelloXX0\r\n\r\n"},
      {"data too long", "5\r\nhello!\r\n0\r\n\r\n"},
      {"size overflows", "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"},
      {"extension of 64 KiB", "5;" + repeat("a", 65536) + "\r\nhello\r\n0\r\n\r\n"},
      {"extensions together", repeat("1;a=" + repeat("b", 60) + "\r\nx\r\n", 20) + "0\r\n\r\n"},
      {"trailer", "5\r\nhello\r\n0\r\nX-Tenant: evil\r\n\r\n"},
      {"trailer with a key", "0\r\nAuthorization: Bearer k\r\n\r\n"},
      {"trailer with a length", "0\r\nContent-Length: 5\r\n\r\n"},
      {"trailer of 66,000 bytes", "0\r\nX-T: " + repeat("a", 66000) + "\r\n\r\n"},
      {"many trailers", "0\r\n" + repeat("X-T: a\r\n", 10000) + "\r\n"},
  };
  for (const auto& [name, body] : bad) {
    cases.push_back({std::string("chunk: ") + name, chunked(body), 400});
  }
  cases.push_back({"chunk: too many", chunked(repeat("1\r\na\r\n", 65537) + "0\r\n\r\n"), 413});
  cases.push_back({"chunk: beyond the limit", chunked("500000\r\n"), 413});
  cases.push_back({"chunk: beyond the limit together",
                   chunked(repeat("100000\r\n" + repeat("a", 0x100000) + "\r\n", 5)), 413});
  cases.push_back({"chunk: huge", chunked("7fffffffffffffff\r\n"), 413});
  cases.push_back({"chunk: good", chunked("5;x=y\r\nhello\r\n0\r\n\r\n"), kTaken});
}

void add_headers(std::vector<HttpCase>& cases) {
  cases.push_back({"no Host", get("X-A: b\r\n"), 400});
  cases.push_back({"no Host in 1.0", "GET /livez HTTP/1.0\r\n\r\n", 400});
  cases.push_back({"two Hosts", get("Host: a\r\nHost: b\r\n"), 400});
  cases.push_back({"two equal Hosts", get("Host: a\r\nHost: a\r\n"), 400});
  cases.push_back({"Host list", get("Host: a, b\r\n"), 400});
  cases.push_back({"Host with a path", get("Host: a/b\r\n"), 400});
  cases.push_back({"Host with a user", get("Host: me@a\r\n"), 400});
  cases.push_back({"bare LF lines", "GET /livez HTTP/1.1\nHost: h\n\n", 400});
  cases.push_back({"bare LF in a field", get("Host: h\nX-A: b\r\n"), 400});
  cases.push_back({"bare CR in a field", get("Host: h\r\nX-A: a\rb\r\n"), 400});
  cases.push_back({"NUL in a field", get(std::string("Host: h\r\nX-A: a\0b\r\n", 18)), 400});
  cases.push_back({"control character",
                   get("Host: h\r\nX-A: a\x01"
                       "b\r\n"),
                   400});
  cases.push_back({"DEL", get("Host: h\r\nX-A: a\x7f\r\n"), 400});
  cases.push_back({"folded field", get("Host: h\r\nX-A: a\r\n b\r\n"), 400});
  cases.push_back({"folded with a tab", get("Host: h\r\nX-A: a\r\n\tb\r\n"), 400});
  cases.push_back({"field without a name", get("Host: h\r\n: b\r\n"), 400});
  cases.push_back({"field without a colon", get("Host: h\r\nX-A\r\n"), 400});
  cases.push_back({"space in a name", get("Host: h\r\nX A: b\r\n"), 400});
  cases.push_back({"space before the first field", "GET /livez HTTP/1.1\r\n Host: h\r\n\r\n", 400});
  cases.push_back({"101 fields", get("Host: h\r\n" + repeat("X-A: b\r\n", 100)), 400});
  cases.push_back({"header of 9 KiB", get("Host: h\r\nX-A: " + repeat("a", 9000) + "\r\n"), 400});
  cases.push_back({"header without an end", get("Host: h\r\nX-A: " + repeat("a", 100000)), 400});
  cases.push_back({"expects something", get("Host: h\r\nExpect: pizza\r\n"), 417});
  cases.push_back({"100 fields", get("Host: h\r\n" + repeat("X-A: b\r\n", 99)), kTaken});
  cases.push_back({"bytes above 127", get("Host: h\r\nX-A: caf\xC3\xA9\r\n"), kTaken});
}

void add_lines(std::vector<HttpCase>& cases) {
  const std::string host = " HTTP/1.1\r\nHost: h\r\n\r\n";
  for (const char* line :
       {"GET  /livez", "GET /livez ", " GET /livez", "GET", "GET /liv ez", "GE(T /livez",
        "GET livez", "GET http://other/livez", "GET http://h:81/livez", "GET http://h",
        "GET http:///livez", "GET ftp://h/livez", "GET h://h/livez", "GET \\livez", "GET /\x01",
        "GET /\xC3\xA9", "CONNECT h:80"}) {
    cases.push_back({std::string("line: ") + line, line + host, 400});
  }
  cases.push_back({"line: target of 5 KiB", "GET /" + repeat("a", 5000) + host, 400});
  for (const char* version :
       {"HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/11", "http/1.1", "HTTP/1.1 x"}) {
    cases.push_back({std::string("line: ") + version,
                     "GET /livez " + std::string(version) + "\r\nHost: h\r\n\r\n", 400});
  }
  cases.push_back({"line: empty one first", "\r\nGET /livez" + host, kTaken});
  cases.push_back({"line: two empty ones first", "\r\n\r\nGET /livez" + host, 400});
  cases.push_back({"line: whole URL", "GET http://h/livez" + host, kTaken});
  cases.push_back({"line: whole URL in capitals", "GET HTTPS://H/livez" + host, kTaken});
  cases.push_back({"line: HTTP/0.9", "GET /livez\r\n\r\n", 400});
  cases.push_back({"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400});
  cases.push_back(
      {"TLS hello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 12), 400});
  cases.push_back({"noise", std::string(300, '\xff') + "\r\n\r\n", 400});
  cases.push_back({"line: good", "GET /livez?x=y" + host, kTaken});
}

}  // namespace

const std::vector<HttpCase>& http_corpus() {
  static const std::vector<HttpCase> cases = [] {
    std::vector<HttpCase> all;
    add_lengths(all);
    add_transfer_encodings(all);
    add_chunks(all);
    add_headers(all);
    add_lines(all);
    return all;
  }();
  return cases;
}

}  // namespace quire::server::testing
