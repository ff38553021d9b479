// The digest of a model folder: of config.json and the weights that are loaded, nothing else.

#include "engine/tiers/model_digest.h"

#include <sys/stat.h>

#include <fstream>

#include "proto/error.h"
#include "tests/engine/tiers/records.h"

// After our headers: Catch's CHECK is the one that holds here.
#include <catch2/catch.hpp>

namespace quire::engine {
namespace {

namespace fs = std::filesystem;

struct ModelFolder : Folder {
  ModelFolder() {
    write("config.json", "{}");
    write("a.safetensors", "first");
    write("b.safetensors", "second");
  }
  void write(const char* name, const char* bytes) const { std::ofstream(path / name) << bytes; }
  void make_pipe(const char* name) const {
    fs::remove(path / name);
    REQUIRE(::mkfifo((path / name).c_str(), 0600) == 0);
  }
  [[nodiscard]] cache::PageKey digest() const {
    return model_digest(path, {"a.safetensors", "b.safetensors"});
  }
};

}  // namespace

TEST_CASE("a digest changes with config.json and with each weight file") {
  const ModelFolder folder;
  const cache::PageKey before = folder.digest();
  CHECK(folder.digest() == before);
  for (const char* name : {"config.json", "a.safetensors", "b.safetensors"}) {
    const ModelFolder changed;
    changed.write(name, "other");
    CHECK_FALSE(changed.digest() == before);
  }
  CHECK_FALSE(model_digest(folder.path, {"a.safetensors"}) == before);
}

TEST_CASE("a digest does not look at files that are not loaded") {
  const ModelFolder folder;
  const cache::PageKey before = folder.digest();
  folder.write("left-over.safetensors", "of another model");
  folder.make_pipe("x.safetensors");  // reading it would wait for ever
  CHECK(folder.digest() == before);
}

TEST_CASE("a digest of what is no regular file is refused, not waited for") {
  const ModelFolder folder;
  folder.make_pipe("b.safetensors");
  CHECK_THROWS_AS(folder.digest(), StartupError);
  fs::remove(folder.path / "b.safetensors");
  CHECK_THROWS_AS(folder.digest(), StartupError);
}

}  // namespace quire::engine
