// The model architectures of GGUF files that are read, and how each one's tensors stand for those of a Hugging Face folder
// (contract: llama.cpp, convert_hf_to_gguf.py and gguf-py's tensor_mapping.py).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "src/io/gguf.h"
#include "src/io/gguf_tensor.h"
#include "src/io/safetensors.h"

namespace lora_dist {

/// Paths of modules; "{}" stands for the layer's number.
struct GgufName {
  std::string_view gguf_name;  // "blk.{}.attn_q"
  std::string_view hf_name;    // "model.layers.{}.self_attn.q_proj"
  GgufOrder order = GgufOrder::as_is;
};

/// Which layers have windows, where the file gives their width.
enum class GgufWindows : std::uint8_t {
  none,    // a file with a width is refused
  all,     // all layers
  listed,  // those that attention.sliding_window_pattern lists
};

/// What llama.cpp makes of the head, and so of files that other programs shall read.
enum class GgufHead : std::uint8_t { any, tied, own };

/// Linears that may have a bias in llama.cpp.
enum class GgufBiases : std::uint8_t { qkv, all };

struct GgufArchitecture {
  std::string_view name;        // of general.architecture
  std::string_view model_type;  // of config.json
  std::span<const GgufName> names;
  std::string_view epsilon = "attention.layer_norm_rms_epsilon";
  bool norms_have_one = false;  // files hold 1 + w
  GgufWindows windows = GgufWindows::none;
  std::int64_t global_every = 0;    // listed: each n-th layer has no window where the file has no list; 0: the family's own rule
  bool windows_turn_alone = false;  // layers with windows have a rotation of their own
  GgufHead head = GgufHead::any;
  GgufBiases biases = GgufBiases::qkv;
  bool heads_fill_hidden = false;  // llama.cpp wants heads * head_dim to be the hidden size
};

/// All of them, by name. Of two of one name the first is that of files without windows.
std::span<const GgufArchitecture> gguf_architectures();

/// The architecture of the file. Throws Error(model) where it is not known, and where the file is no model but an importance
/// matrix, an adapter or the like.
const GgufArchitecture& architecture_of(const GgufFile& file);

/// The architecture that a folder's model_type becomes; null: none is known. Mistral's models become llama's.
const GgufArchitecture* find_gguf_architecture(std::string_view model_type);
/// "exaone, exaone4, gemma, ...": the model_types that have one.
std::string gguf_model_types();

/// The place of a folder's tensor in a file.
struct GgufPlace {
  std::string name;   // "blk.7.attn_q.weight"
  GgufSource source;  // without a type
};
/// The place of "model.layers.7.self_attn.q_proj.weight", with the family's prefix; `dims` of its shape. Nothing: the
/// architecture has no such tensor.
std::optional<GgufPlace> gguf_place(const GgufArchitecture& architecture, const std::string& hf_name, std::size_t dims,
                                    std::int64_t heads, std::int64_t kv_heads);

/// A key of the architecture: "llama.block_count".
std::string gguf_key(const GgufFile& file, std::string_view name);
/// Heads of queries, and of keys and values. Throws Error(model) where they are missing, or differ between layers.
std::int64_t gguf_heads(const GgufFile& file);
std::int64_t gguf_kv_heads(const GgufFile& file);

/// The tensors by the names, and in the shapes and the order, that a Hugging Face folder has them; quantized ones are f32, to be
/// decoded where they are read. Tensors that the architecture does not have keep their names. Throws Error(model).
TensorDirectory gguf_directory(const GgufFile& file);

}  // namespace lora_dist
