// A model of the golden folders, opened as the program opens it.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "src/adapter/adapter_layout.h"
#include "src/adapter/full.h"
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

/// Everything that a ForwardContext points to. Not movable once made.
struct OpenedModel {
  OpenedModel(const std::filesystem::path& folder, const BaseFormat& format, Communicator& comm, std::int64_t max_tokens,
              Recompute recompute = Recompute::block, const AdapterSpec* adapter = nullptr, std::int64_t chunk_elements = 0,
              bool divides_vocabulary = true, int micro_batches_in_flight = 1) {
    spec = read_model_config(folder);
    BaseStorage place{arena, stream};
    place.chunk_elements = chunk_elements;
    place.divides_vocabulary = divides_vocabulary;
    place.trained = adapter != nullptr && adapter->method->part == TrainedPart::base;
    base = load_whole_base(spec, read_model_directory(folder), format, comm, place);
    window = std::make_unique<WeightWindow>(base, comm, arena, stream, DType::f32, micro_batches_in_flight);
    layout = adapter != nullptr ? make_adapter_layout(spec, *adapter) : empty_layout(spec);
    params.assign(static_cast<std::size_t>(layout.count), 0.0F);
    WorkspaceOptions options{max_tokens, max_tokens, true, recompute, adapter != nullptr && adapter->dropout > 0.0};
    options.micro_batches_in_flight = micro_batches_in_flight;
    workspace = make_workspace(base, layout, options, arena, stream);
    if (place.trained) {
      trained = make_trained_base(base, base, trained_tensors(spec, adapter->trainable).matrices, comm.rank(), arena);
      trained.shards = &comm;
    }
  }
  OpenedModel(const OpenedModel&) = delete;
  OpenedModel& operator=(const OpenedModel&) = delete;

  ForwardContext transformer() const { return {&base, &layout, window.get(), &workspace, params, stream}; }

  ModelSpec spec;
  Arena arena;
  Stream stream;
  FrozenBase base;
  std::unique_ptr<WeightWindow> window;
  AdapterLayout layout;
  std::vector<float> params;
  Workspace workspace;
  TrainedBase trained;  // of full fine-tuning
};

/// Sequences as one micro-batch.
struct TestBatch : MicroBatch {
  TestBatch() { cu_seqlens = {0}; }

  void add(const std::vector<std::int32_t>& sequence, const std::vector<std::int32_t>& labels) {
    const auto sample = static_cast<std::int32_t>(cu_seqlens.size() - 1);
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      ids.push_back(sequence[i]);
      targets.push_back(i + 1 < sequence.size() ? labels[i + 1] : -100);
      positions.push_back(static_cast<std::int32_t>(i));
      sample_ids.push_back(sample);
    }
    cu_seqlens.push_back(static_cast<std::int32_t>(ids.size()));
  }
};

/// forward_loss of one micro-batch.
inline double loss_of(const ForwardContext& model, const MicroBatch& batch) { return forward_loss(model, {&batch, 1}).front(); }

/// forward_backward of one micro-batch: the sum of its token losses, and the gradient of scale * that.
inline double loss_and_gradient(const ForwardContext& model, const MicroBatch& batch, const StepDropout& dropout, float scale,
                                std::span<float> grads) {
  return forward_backward(model, {&batch, 1}, {scale}, dropout, {&grads, 1}).front();
}

/// The rows of a score_input.jsonl as one micro-batch.
inline TestBatch read_rows(const std::filesystem::path& file) {
  TestBatch batch;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto row = nlohmann::json::parse(line);
    const auto ids = row["input_ids"].get<std::vector<std::int32_t>>();
    batch.add(ids, row.contains("labels") ? row["labels"].get<std::vector<std::int32_t>>() : ids);
  }
  return batch;
}

}  // namespace lora_dist::test
