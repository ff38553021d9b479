#include "engine/weights/weight_map.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "engine/backend/float_formats.h"
#include "engine/weights/convert.h"
#include "engine/weights/json_file.h"
#include "engine/weights/truncation_guard.h"
#include "tests/engine/models/support.h"

namespace quire::engine {
namespace {

using test::safetensors_file;
using test::startup_error_of;
using test::TempFolder;

std::string one_tensor(const std::string& name) {
  return safetensors_file(
      "{\"" + name + R"(":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})", 24);
}

std::string index_of(const std::string& tensor, const std::string& file) {
  return "{\"metadata\":{\"total_size\":24},\"weight_map\":{\"" + tensor + "\":" + file + "}}";
}

std::string error_of_folder(const TempFolder& folder) {
  return startup_error_of([&] { (void)WeightMap::open(folder.path()); });
}

}  // namespace

TEST_CASE("weight map: views of one file, plain and transposed") {
  TempFolder folder;
  folder.write("model.safetensors", one_tensor("w"));
  const WeightMap map = WeightMap::open(folder.path());
  CHECK(map.contains("w"));
  CHECK_FALSE(map.contains("v"));
  const HostTensor plain = map.matrix("w", 2, 3);
  CHECK(plain.row_stride == 3);
  CHECK(std::to_integer<int>(plain.data[4]) == 4);
  const HostTensor turned = map.transposed("w", 3, 2);
  CHECK(turned.rows == 3);
  CHECK(turned.row_stride == 1);
  CHECK(turned.col_stride == 3);
  CHECK(map.main_dtype() == DType::kFloat32);
  plain.let_go(plain.data, plain.rows * plain.cols * dtype_bytes(plain.dtype));
  CHECK(std::to_integer<int>(plain.data[5]) == 5);
}

TEST_CASE("weight map: what is missing or misshapen is named with its file") {
  TempFolder folder;
  CHECK(error_of_folder(folder) == "model.safetensors: not found");
  folder.write("model.safetensors", one_tensor("w"));
  const WeightMap map = WeightMap::open(folder.path());
  CHECK(startup_error_of([&] { (void)map.matrix("v", 2, 3); }) ==
        "model.safetensors: tensor v: is missing");
  CHECK(startup_error_of([&] { (void)map.matrix("w", 3, 2); }) ==
        "model.safetensors: tensor w: shape is [2, 3] where config.json asks for [3, 2]");
  CHECK(startup_error_of([&] { (void)map.vector("w", 6); }) ==
        "model.safetensors: tensor w: shape is [2, 3] where config.json asks for [6]");
  folder.write("model.safetensors",
               safetensors_file(R"({"i":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})", 8));
  const WeightMap integers = WeightMap::open(folder.path());
  CHECK(startup_error_of([&] { (void)integers.vector("i", 1); }) ==
        "model.safetensors: tensor i: dtype I64 is not supported (F32, F16 or BF16)");
}

TEST_CASE("weight map: a truncated file is refused at every length") {
  TempFolder folder;
  const std::string whole = one_tensor("w");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    folder.write("model.safetensors", whole.substr(0, size));
    INFO(size);
    CHECK(error_of_folder(folder).starts_with("model.safetensors: "));
  }
}

TEST_CASE("weight map: folders, pipes and unreadable files do not hang or crash") {
  TempFolder folder;
  std::filesystem::create_directory(folder.path() / "model.safetensors");
  CHECK(error_of_folder(folder).starts_with("model.safetensors: "));
  std::filesystem::remove(folder.path() / "model.safetensors");
  REQUIRE(::mkfifo((folder.path() / "model.safetensors").c_str(), 0600) == 0);
  CHECK(error_of_folder(folder) == "model.safetensors: is not a regular file");
}

TEST_CASE("weight map: shards through the index") {
  TempFolder folder;
  folder.write("a.safetensors", one_tensor("x"));
  folder.write("b.safetensors", one_tensor("y"));
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"x":"a.safetensors","y":"b.safetensors"}})");
  const WeightMap map = WeightMap::open(folder.path());
  CHECK(map.matrix("x", 2, 3).data != map.matrix("y", 2, 3).data);
  folder.write("c.safetensors", one_tensor("x"));  // that no index names
  CHECK(WeightMap::open(folder.path()).file_names() ==
        std::vector<std::string>{"a.safetensors", "b.safetensors"});
  std::filesystem::remove(folder.path() / "c.safetensors");
  CHECK(startup_error_of([&] { (void)map.matrix("z", 2, 3); }) ==
        "model.safetensors.index.json: tensor z: is missing");

  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"x":"a.safetensors","y":"a.safetensors"}})");
  CHECK(error_of_folder(folder) ==
        "model.safetensors.index.json: weight_map: tensor y: is not in the file it names");
  folder.write("model.safetensors.index.json", R"({"weight_map":{"x":"c.safetensors"}})");
  CHECK(error_of_folder(folder) == "c.safetensors: not found");
  folder.write("b.safetensors", one_tensor("x"));
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"x":"a.safetensors","y":"b.safetensors"}})");
  CHECK(error_of_folder(folder) == "b.safetensors: tensor x: is in another shard, too");
}

TEST_CASE("weight map: forty hostile names in an index are refused") {
  const std::vector<std::string> names = {
      R"("/etc/passwd")",
      R"("/etc/x.safetensors")",
      R"("../x.safetensors")",
      R"("../../../../etc/passwd")",
      R"("..")",
      R"(".")",
      R"("")",
      R"("./x.safetensors")",
      R"("a/x.safetensors")",
      R"("a/../x.safetensors")",
      R"("x.safetensors/")",
      R"("x.safetensors/..")",
      R"("x.safetensors/../../y")",
      R"("..safetensors")",
      R"("...safetensors")",
      R"("x..safetensors")",
      R"(".safetensors")",
      R"("x.safetensors\u0000")",
      R"("x\u0000.safetensors")",
      R"("\u0000")",
      R"("x\u0000/../y.safetensors")",
      R"("x\n.safetensors")",
      R"("x\t.safetensors")",
      R"("x\u001b[2J.safetensors")",
      R"("x\u007f.safetensors")",
      R"("..\\x.safetensors")",
      R"("C:\\x.safetensors")",
      R"("C:x.safetensors")",
      R"("\\\\host\\x.safetensors")",
      R"("file:///x.safetensors")",
      R"("http://host/x.safetensors")",
      R"("~/x.safetensors")",
      R"(" x.safetensors")",
      R"("x.safetensors ")",
      R"("x.bin")",
      R"("config.json")",
      R"("x.SAFETENSORS")",
      R"("x.safetensors.gz")",
      R"("\u2025/x.safetensors")",
      R"("\uff0fx.safetensors")",
      "\"" + std::string(300, 'x') + ".safetensors\"",
      "\"" + std::string(100'000, '/') + "\"",
      "3",
      "null",
      "[]",
      "{}",
      "true",
  };
  TempFolder folder;
  folder.write("x.safetensors", one_tensor("w"));
  for (const std::string& name : names) {
    folder.write("model.safetensors.index.json", index_of("w", name));
    INFO(name.substr(0, 80));
    const std::string error = error_of_folder(folder);
    CHECK(error.starts_with("model.safetensors.index.json: weight_map: tensor w: must name a"));
    CHECK(error.size() < 200);
  }
  CHECK(names.size() >= 40);
  folder.write("model.safetensors.index.json", index_of("w", R"("x.safetensors")"));
  CHECK(error_of_folder(folder).empty());
}

TEST_CASE("weight map: an index that is no index") {
  TempFolder folder;
  for (const char* text : {"", "{", "[]", "null", "{}", R"({"weight_map":[]})",
                           R"({"weight_map":{"a":"a.safetensors","a":"b.safetensors"}})"}) {
    folder.write("model.safetensors.index.json", text);
    INFO(text);
    CHECK(error_of_folder(folder).starts_with("model.safetensors.index.json: "));
  }
}

TEST_CASE("json file: depth, duplicates and numbers out of range") {
  const auto problem = [](std::string_view text) {
    const auto parsed = parse_json_object(text, "config.json");
    return parsed.ok() ? std::string() : parsed.error().message;
  };
  CHECK(problem(R"({"a":[1,{"b":2}]})").empty());
  CHECK(problem(R"({"a":1,"a":2})") == "has a key twice");
  CHECK(problem(R"({"x":{"a":1,"a":2}})") == "has a key twice");
  CHECK(problem(R"({"x":{"a":1},"y":{"a":2}})").empty());
  CHECK(problem("{\"a\":" + std::string(17, '[') + std::string(17, ']') + "}") ==
        "is nested too deeply");
  CHECK_FALSE(problem("{\"a\":" + std::string(200'000, '[')).empty());
  CHECK_FALSE(problem(R"({"a":1e999})").empty());
  CHECK_FALSE(problem("{\"a\":\"\xff\"}").empty());
  CHECK(problem("[1]") == "is not a JSON object");
}

TEST_CASE("weight map: a file truncated under the reader ends the process with one line") {
  TempFolder folder;
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t bytes = page * 8;
  folder.write("model.safetensors",
               safetensors_file(R"({"w":{"dtype":"F32","shape":[)" + std::to_string(bytes / 4) +
                                    R"(],"data_offsets":[0,)" + std::to_string(bytes) + "]}}",
                                bytes));
  int output[2];
  REQUIRE(::pipe(output) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(output[1], STDERR_FILENO);
    const TruncationGuard guard;
    const WeightMap map = WeightMap::open(folder.path());
    const HostTensor tensor = map.vector("w", static_cast<std::int64_t>(bytes / 4));
    std::filesystem::resize_file(folder.path() / "model.safetensors", page);
    volatile int sum = 0;
    for (std::size_t i = 0; i < bytes; i += 64) sum = sum + std::to_integer<int>(tensor.data[i]);
    ::_exit(7);
  }
  ::close(output[1]);
  char text[256] = {};
  const ssize_t length = ::read(output[0], text, sizeof text - 1);
  ::close(output[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 1);
  REQUIRE(length > 0);
  CHECK(std::string(text).find("truncated while it was being read\n") != std::string::npos);
}

TEST_CASE("convert: strided views become rows without gaps") {
  const std::vector<float> stored = {1, 2, 3, 4, 5, 1.0f + 0x1p-8f};  // [3, 2], seen as [2, 3]
  const HostTensor turned{.data = reinterpret_cast<const std::byte*>(stored.data()),
                          .dtype = DType::kFloat32,
                          .rows = 2,
                          .cols = 3,
                          .row_stride = 1,
                          .col_stride = 2};
  const std::vector<std::byte> narrow = convert(turned, DType::kBFloat16);
  REQUIRE(narrow.size() == 12);
  std::vector<float> back;
  for (std::size_t i = 0; i < 6; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, narrow.data() + 2 * i, 2);
    back.push_back(bfloat16_to_float(bits));
  }
  CHECK(back == std::vector<float>{1, 3, 5, 2, 4, 1});  // the tie goes to even
}

}  // namespace quire::engine
