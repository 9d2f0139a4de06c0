// Rules by the tensor's name, its layer and the length of its rows.
#include "src/convert/gguf_recipe.h"

#include <charconv>
#include <string_view>

#include "kernels/common/check.h"

namespace lora_dist {
namespace {

/// Numbers of types in files.
enum Number : std::uint32_t { f32 = 0, f16 = 1, q5_0 = 6, q5_1 = 7, q8_0 = 8, q4_k = 12, q5_k = 13, q6_k = 14, bf16 = 30 };

const GgmlType& type_of(std::uint32_t number) {
  const GgmlType* type = find_ggml_type(number);
  require(type != nullptr, "gguf_tensor_type: a known type");
  return *type;
}

bool stays_f32(std::string_view name, const std::vector<std::int64_t>& shape) {
  return shape.size() < 2 || name.ends_with("_norm.weight") || name == "position_embd.weight" || name == "rope_freqs.weight" ||
         !name.ends_with(".weight");
}

/// The first and the last eighth of the layers, and each third one between them, lose most when they are rounded.
bool has_more_bits(std::int64_t layer, std::int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

/// The layer of "blk.7.attn_v.weight": 7.
std::int64_t layer_of(std::string_view name) {
  constexpr std::string_view kBlock = "blk.";
  std::int64_t layer = 0;
  std::from_chars(name.data() + std::min(kBlock.size(), name.size()), name.data() + name.size(), layer);
  return layer;
}

Number q4_k_m_type(std::string_view name, std::int64_t row, const ModelSpec& spec) {
  constexpr std::int64_t kSuper = 256;  // values of a K block
  if (name == "output.weight" || (name == "token_embd.weight" && spec.tied_head)) {
    return row % kSuper == 0 ? q6_k : q8_0;
  }
  if (name.ends_with("attn_qkv.weight")) {
    return q5_k;
  }
  const bool more = has_more_bits(layer_of(name), spec.layers);
  if (name.ends_with("attn_v.weight")) {
    const bool is_70b = spec.layers == 80 && spec.kv_heads < spec.heads;  // its small v is worth a bit more
    return more ? q6_k : is_70b ? q5_k : q4_k;
  }
  return more && name.ends_with("ffn_down.weight") ? q6_k : q4_k;
}

Number fallback_of(Number type) { return type == q4_k ? q5_0 : type == q5_k ? q5_1 : type == q6_k ? q8_0 : f16; }

}  // namespace

std::uint32_t gguf_file_type_number(GgufFileType type) {
  switch (type) {
    case GgufFileType::f32:
      return 0;
    case GgufFileType::f16:
      return 1;
    case GgufFileType::bf16:
      return 32;
    case GgufFileType::q8_0:
      return 7;
    case GgufFileType::q4_k_m:
      return 15;
  }
  return 0;
}

const GgmlType& gguf_tensor_type(GgufFileType type, const std::string& name, const std::vector<std::int64_t>& shape,
                                 const ModelSpec& spec) {
  if (type == GgufFileType::f32 || stays_f32(name, shape)) {
    return type_of(f32);
  }
  if (type == GgufFileType::f16 || type == GgufFileType::bf16) {
    return type_of(type == GgufFileType::f16 ? f16 : bf16);
  }
  const std::int64_t row = shape.back();
  Number out = type == GgufFileType::q8_0 ? q8_0 : q4_k_m_type(name, row, spec);
  if (row % type_of(out).values != 0) {
    out = fallback_of(out);
  }
  return type_of(row % type_of(out).values != 0 ? f16 : out);
}

}  // namespace lora_dist
