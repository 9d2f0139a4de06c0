// Writes and reads PEFT adapter folders: adapter_config.json, adapter_model.safetensors and a model card.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/dtype.h"
#include "src/adapter/adapter_config.h"
#include "src/adapter/adapter_origin.h"
#include "src/adapter/adapter_tensor.h"
#include "src/io/safetensors.h"

namespace lora_dist {

struct AdapterMatrix {
  std::vector<std::int64_t> shape;  // lora_A [r, in], lora_B [out, r]
  std::vector<float> values;
};

/// Tensors that all modules share ("vera_A"), by name.
using SharedTensors = std::map<std::string, AdapterMatrix>;

struct PeftAdapter {
  PeftConfig config;
  std::map<std::string, AdapterMatrix> tensors;  // "model.layers.0.self_attn.q_proj.lora_A"
  /// Whole tables of the base in the adapter's file ("lm_head"), which PEFT writes if it assumes that they changed
  /// (save_embedding_layers).
  std::map<std::string, TensorInfo> tables{};
  SharedTensors shared{};  // empty: the method has none, or the folder leaves them to be drawn (frozen_tensors.h)
  /// Trained copies of embedding, head and norms, and trained rows (trained_modules_folder.h): "lm_head.modules_to_save".
  std::map<std::string, AdapterMatrix> replaced{};
};

/// The file of an adapter's tensors in its folder: the adapters library has another name for it than PEFT.
std::filesystem::path tensors_file(const std::filesystem::path& folder);

/// Elements [first, first + count) of an f32, f16 or bf16 tensor. Throws Error(model) if the file cannot be read.
std::vector<float> read_floats(const TensorInfo& tensor, std::int64_t first, std::int64_t count);

/// Writes `folder` atomically, replacing an earlier adapter; call it on one rank. `tensors` are named "<path>.lora_A" and
/// "<path>.lora_B"; their values are in `params`, and are written in `dtype` (f32 or bf16). `origin` is written to kOriginFile
/// (adapter_origin.h) and sets the base format shown in the model card; null: not written. `shared` is written in f32, unless
/// config.save_shared is false. Throws Error(model) with the system's
/// reason; the earlier adapter then remains. `tokenizer`: a folder whose tokenizer files are written beside the adapter; empty:
/// none.
void write_peft_adapter(const std::filesystem::path& folder, const PeftConfig& config, std::span<const AdapterTensor> tensors,
                        std::span<const float> params, DType dtype = DType::f32, const nlohmann::json& origin = nullptr,
                        const SharedTensors& shared = {}, const std::filesystem::path& tokenizer = {});

/// Reads a folder written here or by PEFT; f32, f16 and bf16 tensors become f32. Throws Error(model) naming file and tensor: a
/// missing half of a pair, shapes that disagree with each other or with r, tensors that are not LoRA's (biases, embeddings, whole
/// modules), a value that is not finite, an alpha that fp32 cannot hold. Copies of embedding and head are checked by check_tables
/// (adapter_bridge.h).
PeftAdapter read_peft_adapter(const std::filesystem::path& folder);

}  // namespace lora_dist
