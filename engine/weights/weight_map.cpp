#include "engine/weights/weight_map.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/weights/json_file.h"

namespace quire::engine {
namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr std::size_t kMaxShards = 4096;  // the largest published models have a few hundred

[[noreturn]] void fail(const std::string& file, const std::string& field,
                       const std::string& message) {
  throw StartupError(file + ": " + field + ": " + message);
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace

bool is_plain_shard_name(std::string_view name) {
  constexpr std::string_view kEnding = ".safetensors";
  if (name.size() <= kEnding.size() || name.size() > 255 || !name.ends_with(kEnding)) return false;
  if (name.find("..") != std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return c > 0x20 && c < 0x7f && c != '/' && c != '\\' && c != ':';
  });
}

bool WeightMap::present(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / kSingleFile, ignored) ||
         std::filesystem::exists(folder / kIndexFile, ignored);
}

WeightMap WeightMap::open(const std::filesystem::path& folder) {
  WeightMap map;
  std::error_code ignored;
  if (!std::filesystem::exists(folder / kSingleFile, ignored) &&
      std::filesystem::exists(folder / kIndexFile, ignored)) {
    map.add_index(folder);
  } else {
    map.source_ = kSingleFile;
    map.add_file(folder / kSingleFile);
  }
  return map;
}

// Maps a file and adds all its tensors.
void WeightMap::add_file(const std::filesystem::path& path) {
  auto file = MappedFile::open(path);
  if (!file.ok()) throw StartupError(file.error().param + ": " + file.error().message);
  auto entries = parse_safetensors(file->bytes());
  if (!entries.ok()) fail(file->name(), entries.error().param, entries.error().message);
  for (SafetensorsEntry& entry : *entries) {
    std::string name = entry.name;
    const auto added = tensors_.try_emplace(
        std::move(name), Tensor{.file = files_.size(), .entry = std::move(entry)});
    if (!added.second) {
      fail(file->name(), "tensor " + printable_name(added.first->first),
           "is in another shard, too");
    }
  }
  files_.push_back(std::move(*file));
}

// Maps the shards that the index names and checks that each tensor lies in the shard it names.
void WeightMap::add_index(const std::filesystem::path& folder) {
  source_ = kIndexFile;
  auto index = read_json_file(folder / kIndexFile);
  if (!index.ok()) throw StartupError(index.error().param + ": " + index.error().message);
  const auto map = index->find("weight_map");
  if (map == index->end() || !map->is_object()) {
    fail(kIndexFile, "weight_map", "must be an object of tensor and file names");
  }
  std::map<std::string, std::size_t, std::less<>> shards;  // to its place in files_
  for (const auto& [tensor, shard] : map->items()) {
    const std::string field = "weight_map: tensor " + printable_name(tensor);
    if (!shard.is_string()) fail(kIndexFile, field, "must name a file");
    const auto& name = shard.get_ref<const std::string&>();
    if (!is_plain_shard_name(name)) {
      fail(kIndexFile, field, "must name a .safetensors file of the same folder");
    }
    shards.emplace(name, 0);
    if (shards.size() > kMaxShards) fail(kIndexFile, "weight_map", "names more than 4096 files");
  }
  for (auto& [name, place] : shards) {
    place = files_.size();
    add_file(folder / name);
  }
  for (const auto& [tensor, shard] : map->items()) {
    const auto found = tensors_.find(tensor);
    if (found == tensors_.end() ||
        found->second.file != shards.at(shard.get_ref<const std::string&>())) {
      fail(kIndexFile, "weight_map: tensor " + printable_name(tensor),
           "is not in the file it names");
    }
  }
}

bool WeightMap::contains(std::string_view name) const { return tensors_.contains(name); }

HostTensor WeightMap::view(std::string_view name, std::initializer_list<std::int64_t> shape,
                           std::int64_t rows, std::int64_t cols) const {
  const std::string field = "tensor " + printable_name(name);
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) fail(source_, field, "is missing");
  const auto& [place, entry] = found->second;
  const MappedFile& file = files_[place];
  const std::span<const std::int64_t> stored(entry.shape.data(),
                                             static_cast<std::size_t>(entry.rank));
  if (!std::equal(stored.begin(), stored.end(), shape.begin(), shape.end())) {
    fail(file.name(), field,
         "shape is " + shape_text(stored) + " where config.json asks for " +
             shape_text({shape.begin(), shape.size()}));
  }
  if (!entry.type->dtype) {
    fail(file.name(), field,
         "dtype " + std::string(entry.type->name) + " is not supported (F32, F16 or BF16)");
  }
  return {.data = file.bytes().data() + entry.begin,
          .dtype = *entry.type->dtype,
          .rows = rows,
          .cols = cols,
          .row_stride = cols,
          .col_stride = 1,
          .let_go = MappedFile::release};
}

HostTensor WeightMap::matrix(std::string_view name, std::int64_t rows, std::int64_t cols) const {
  return view(name, {rows, cols}, rows, cols);
}

HostTensor WeightMap::transposed(std::string_view name, std::int64_t rows,
                                 std::int64_t cols) const {
  HostTensor tensor = view(name, {cols, rows}, rows, cols);
  tensor.row_stride = 1;
  tensor.col_stride = rows;
  return tensor;
}

HostTensor WeightMap::vector(std::string_view name, std::int64_t size) const {
  return view(name, {size}, 1, size);
}

std::vector<std::string> WeightMap::file_names() const {
  std::vector<std::string> names;
  names.reserve(files_.size());
  for (const MappedFile& file : files_) names.push_back(file.name());
  std::sort(names.begin(), names.end());
  return names;
}

DType WeightMap::main_dtype() const {
  std::map<DType, std::int64_t> bytes;
  for (const auto& [name, tensor] : tensors_) {
    if (tensor.entry.type->dtype) {
      bytes[*tensor.entry.type->dtype] += tensor.entry.end - tensor.entry.begin;
    }
  }
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? DType::kFloat32 : most->first;
}

}  // namespace quire::engine
