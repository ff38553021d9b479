#pragma once
// WeightMap: the tensors of a model folder by name, as checked views of mapped files.
//
// Reads model.safetensors, or the shards named by model.safetensors.index.json. Move-only; the
// views are valid while the map lives. Loading thread(s) only; const methods are thread-safe.
// 1. Every error is a StartupError of one line that names the file and the tensor or field.
// 2. A shard's name is a plain file name of the folder: hostile names are refused, nothing outside
//    the folder is opened (but links are followed: Hugging Face caches consist of them).
// 3. A view's shape, dtype and extent are checked against the file before it is handed out.

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor.h"
#include "engine/weights/mapped_file.h"
#include "engine/weights/safetensors.h"

namespace quire::engine {

class WeightMap final {
 public:
  [[nodiscard]] static WeightMap open(const std::filesystem::path& folder);
  // Whether the folder has weights that open() would look at.
  [[nodiscard]] static bool present(const std::filesystem::path& folder);

  [[nodiscard]] bool contains(std::string_view name) const;
  // Stored as [rows, cols].
  [[nodiscard]] HostTensor matrix(std::string_view name, std::int64_t rows,
                                  std::int64_t cols) const;
  // Stored as [cols, rows] (GPT-2's Conv1D); the view is [rows, cols] all the same.
  [[nodiscard]] HostTensor transposed(std::string_view name, std::int64_t rows,
                                      std::int64_t cols) const;
  // Stored as [size]; one row.
  [[nodiscard]] HostTensor vector(std::string_view name, std::int64_t size) const;

  // The names of the folder's files that hold them, in the order of the alphabet.
  [[nodiscard]] std::vector<std::string> file_names() const;

  // The float type that most bytes have; float32 where there is none.
  [[nodiscard]] DType main_dtype() const;

 private:
  struct Tensor {
    std::size_t file = 0;
    SafetensorsEntry entry;
  };
  WeightMap() = default;
  void add_file(const std::filesystem::path& path);
  void add_index(const std::filesystem::path& folder);
  [[nodiscard]] HostTensor view(std::string_view name, std::initializer_list<std::int64_t> shape,
                                std::int64_t rows, std::int64_t cols) const;

  std::vector<MappedFile> files_;
  std::map<std::string, Tensor, std::less<>> tensors_;
  std::string source_;  // the file that a missing tensor is missed in
};

// Refuses what is not the plain name of a safetensors file: empty, '/', '\\', "..", control
// characters, NUL, another ending, more than 255 bytes.
[[nodiscard]] bool is_plain_shard_name(std::string_view name);

}  // namespace quire::engine
