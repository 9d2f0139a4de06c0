// A model of the golden folders, opened as the program opens it.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "src/adapter/adapters.h"
#include "src/comm/communicator.h"
#include "src/transformer/transformer.h"
#include "tests/support/whole_base.h"

namespace lora_dist::test {

inline std::filesystem::path source(const std::string& relative) {
  return std::filesystem::path(LORA_DIST_SOURCE_DIR) / relative;
}

inline nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream in(path);
  return nlohmann::json::parse(in);
}

/// Everything that a Transformer points to. Not movable once made.
struct OpenedModel {
  OpenedModel(const std::filesystem::path& folder, const BaseFormat& format, Communicator& comm, std::int64_t max_tokens,
              Recompute recompute = Recompute::block, const AdapterSpec* adapter = nullptr, std::int64_t chunk_elements = 0,
              bool divides_vocabulary = true) {
    spec = read_model_config(folder);
    BasePlace place{arena, stream};
    place.chunk_elements = chunk_elements;
    place.divides_vocabulary = divides_vocabulary;
    base = load_whole_base(spec, read_model_directory(folder), format, comm, place);
    window = std::make_unique<WeightWindow>(base, comm, arena, stream, DType::f32);
    layout.blocks.resize(static_cast<std::size_t>(spec.layers));
    if (adapter != nullptr) {
      layout = make_adapter_layout(spec, *adapter);
    }
    params.assign(static_cast<std::size_t>(layout.count), 0.0F);
    WorkspaceOptions options{max_tokens, max_tokens, true, recompute, adapter != nullptr && adapter->dropout > 0.0};
    workspace = make_workspace(base, layout, options, arena, stream);
  }
  OpenedModel(const OpenedModel&) = delete;
  OpenedModel& operator=(const OpenedModel&) = delete;

  Transformer transformer() const { return {&base, &layout, window.get(), &workspace, params, stream}; }

  ModelSpec spec;
  Arena arena;
  Stream stream;
  FrozenBase base;
  std::unique_ptr<WeightWindow> window;
  AdapterLayout layout;
  std::vector<float> params;
  Workspace workspace;
};

/// Sequences as one pass.
struct OwnedPass {
  std::vector<std::int32_t> ids, targets, positions, samples, starts{0};

  void add(const std::vector<std::int32_t>& sequence, const std::vector<std::int32_t>& labels) {
    const auto sample = static_cast<std::int32_t>(starts.size() - 1);
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      ids.push_back(sequence[i]);
      targets.push_back(i + 1 < sequence.size() ? labels[i + 1] : -100);
      positions.push_back(static_cast<std::int32_t>(i));
      samples.push_back(sample);
    }
    starts.push_back(static_cast<std::int32_t>(ids.size()));
  }
  Pass pass() const { return {ids, targets, positions, samples, starts}; }
  std::int64_t target_tokens() const {
    return std::accumulate(targets.begin(), targets.end(), std::int64_t{0},
                           [](std::int64_t n, std::int32_t t) { return n + (t != -100); });
  }
};

/// The rows of a score_input.jsonl as one pass.
inline OwnedPass read_rows(const std::filesystem::path& file) {
  OwnedPass pass;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto row = nlohmann::json::parse(line);
    const auto ids = row["input_ids"].get<std::vector<std::int32_t>>();
    pass.add(ids, row.contains("labels") ? row["labels"].get<std::vector<std::int32_t>>() : ids);
  }
  return pass;
}

}  // namespace lora_dist::test
