#pragma once
// ModelDigest: a SHA-256 of all that a model folder's answers come from: config.json and the weight
// files that are loaded, whole. Two fine-tuned models of one shape must never share pages.
//
// Cost: reading the weights once more, about a second for 2 GB that are in the page cache: it runs
// while they are loaded, and only where pages outlive the process.

#include <filesystem>
#include <string>
#include <vector>

#include "cache/page_key.h"

namespace quire::engine {

// weights: the files' names, as WeightMap::file_names() has them. Throws StartupError where a file
// cannot be read or is not a regular one.
[[nodiscard]] cache::PageKey model_digest(const std::filesystem::path& folder,
                                          const std::vector<std::string>& weights);

// A digest of `before` and `text`: what else pages depend on.
[[nodiscard]] cache::PageKey extend_digest(const cache::PageKey& before, std::string_view text);

}  // namespace quire::engine
