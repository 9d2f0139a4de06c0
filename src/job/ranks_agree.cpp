// Compares each rank's settings and model with those of rank 0.
#include "src/job/ranks_agree.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/comm/agree.h"
#include "src/config/print_config.h"
#include "src/core/error.h"
#include "src/io/file.h"
#include "src/io/gguf_model.h"
#include "src/io/sha256.h"

namespace lora_dist {

namespace {

constexpr std::uint64_t kPages = 16;  // per file, spread evenly
constexpr std::uint64_t kPageBytes = 4096;

/// Digest of a model folder, without reading all of it.
std::string fingerprint(const std::filesystem::path& folder, const TensorDirectory& directory) {
  std::string text = model_config_text(folder);
  for (const auto& [name, tensor] : directory.tensors) {
    text +=
        fmt::format("{} {} [{}] {} {}\n", name, name_of(tensor.dtype), fmt::join(tensor.shape, ","), tensor.offset, tensor.bytes);
  }
  std::vector<std::byte> page;
  for (const std::filesystem::path& path : directory.files) {
    const InputFile file(path, ExitCode::model);
    text += fmt::format("{} {}\n", path.filename().string(), file.size());
    for (std::uint64_t i = 0; i < kPages; ++i) {
      const std::uint64_t at = file.size() / kPages * i;
      page.resize(static_cast<std::size_t>(std::min(kPageBytes, file.size() - at)));
      file.read_at(at, page);
      text += sha256_of(page);
    }
  }
  return sha256_of(std::as_bytes(std::span(text)));
}

}  // namespace

void check_same_program(Communicator& world, const Config& config, const std::string& version) {
  const std::string of_rank_0 = broadcast_string(world, version, 0);
  const auto settings = nlohmann::json::parse(broadcast_string(world, nlohmann::json(to_flat_settings(config)).dump(), 0))
                            .get<std::map<std::string, std::string>>();
  run_together(world, [&] {
    if (of_rank_0 != version) {
      throw Error(
          ExitCode::communication,
          fmt::format("this is lora_dist {}, and rank 0 runs {}; start the same program on every node", version, of_rank_0));
    }
    for (const auto& [key, value] : to_flat_settings(config)) {
      if (const auto theirs = settings.find(key); theirs == settings.end() || theirs->second != value) {
        throw Error(ExitCode::usage,
                    fmt::format("{} is {} here and {} on rank 0; give every rank the same configuration (a file on a shared file "
                                "system, or equal copies)",
                                key, value, theirs == settings.end() ? "not known" : theirs->second));
      }
    }
  });
}

void check_same_model(Communicator& world, const std::filesystem::path& folder, const TensorDirectory& directory) {
  std::string mine;
  run_together(world, [&] { mine = fingerprint(folder, directory); });
  const std::string of_rank_0 = broadcast_string(world, mine, 0);
  run_together(world, [&] {
    if (mine != of_rank_0) {
      throw Error(ExitCode::model,
                  fmt::format("{} is another model here than on rank 0 (configuration, tensors or weights differ); "
                              "copy the same folder to every node",
                              folder.string()));
    }
  });
}

}  // namespace lora_dist
