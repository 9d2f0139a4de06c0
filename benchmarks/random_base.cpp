// Draws a pool of weights once, quantizes it once, and fills the base with its bytes.
#include "benchmarks/random_base.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/common/device.h"
#include "kernels/common/philox.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/quantize/quantize_absmax.h"
#include "src/base/quantized_weight.h"

namespace lora_dist::benchmarks {

namespace {

constexpr float kDeviation = 0.02F;                            // transformers' initializer_range
constexpr std::int64_t kPoolElements = std::int64_t{1} << 22;  // about; far beyond any cache of a multiprocessor
constexpr std::int64_t kStride = 37;                           // units between the starts of two weights

/// Random bytes in the operators' memory, repeatable from any multiple of `unit` bytes.
struct Pool {
  std::span<std::byte> bytes;
  std::int64_t unit = 0;
};

/// Fills `to` with the pool's bytes, repeated, from offset `start` on. In stream order.
void repeat(const Pool& pool, std::int64_t start, std::span<std::byte> to, const Stream& stream) {
  const auto units = static_cast<std::int64_t>(pool.bytes.size()) / pool.unit;
  auto from = static_cast<std::size_t>(start * kStride % units * pool.unit);
  for (std::size_t at = 0; at < to.size();) {
    const std::size_t n = std::min(pool.bytes.size() - from, to.size() - at);
    copy_bytes(to.data() + at, pool.bytes.data() + from, n, stream);
    at += n;
    from = 0;
  }
}

/// N(0, kDeviation) by the method of Box and Muller, on the host.
std::vector<float> draw_weights(std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); i += 4) {
    const PhiloxCounter bits = philox4x32({static_cast<std::uint32_t>(i), 0, 0, 0}, {1, 2});
    for (std::size_t pair = 0; pair < 4; pair += 2) {
      const float radius = kDeviation * std::sqrt(-2.0F * std::log(1.0F - uniform_float(bits[pair])));
      const float angle = 2.0F * std::numbers::pi_v<float> * uniform_float(bits[pair + 1]);
      values[i + pair] = radius * std::cos(angle);
      values[i + pair + 1] = radius * std::sin(angle);
    }
  }
  return values;
}

Pool place_pool(std::span<const std::byte> host, std::int64_t unit, Arena& arena, const Stream& stream) {
  const auto count = static_cast<std::int64_t>(host.size());
  Pool pool{arena.take<std::byte>(MemoryKind::scratch, "random weights", count), unit};
  from_host({host.data(), DType::u8, {count}}, {pool.bytes.data(), DType::u8, {count}}, stream);
  return pool;
}

Pool place_weights(std::span<const float> values, std::int64_t unit, DType dtype, Arena& arena, const Stream& stream) {
  const auto width = static_cast<std::int64_t>(size_of(dtype));
  const auto count = static_cast<std::int64_t>(values.size());
  std::vector<std::byte> narrow(values.size() * static_cast<std::size_t>(width));
  if (dtype == DType::f32) {
    std::copy_n(std::as_bytes(values).begin(), narrow.size(), narrow.begin());
  } else {
    cast_cpu(view(values), {narrow.data(), dtype, {count}}, Stream{});
  }
  return place_pool(narrow, unit * width, arena, stream);
}

/// The pools of all weights. A unit is the elements of one nested scale, so that codes and scales match from any start.
struct Pools {
  Pool narrow;   // bf16
  Pool compute;  // in the compute dtype
  Pool codes;
  Pool absmax;  // f32, or u8 with double quantization
  Pool nested;  // f32
  float nested_offset = 0.0F;
};

void quantize_pool(std::span<const float> values, const BaseFormat& format, Arena& arena, const Stream& stream, Pools& pools) {
  const auto count = static_cast<std::int64_t>(values.size());
  std::vector<std::byte> codes(static_cast<std::size_t>(format.code_bytes(count)));
  std::vector<float> absmax(static_cast<std::size_t>(count / format.block_size));
  quantize_blocks(values, format.block_size, format, codes, absmax, Stream{});
  const KeptScales scales = keep_scales(absmax, format, Stream{});
  const std::int64_t bytes_per_scale = format.nested() ? 1 : 4;
  pools.nested_offset = scales.offset;
  pools.codes = place_pool(codes, format.code_bytes(kNestedBlock * format.block_size), arena, stream);
  pools.absmax = place_pool(scales.absmax, kNestedBlock * bytes_per_scale, arena, stream);
  if (format.nested()) {
    pools.nested = place_pool(std::as_bytes(std::span(scales.nested)), 4, arena, stream);
  }
}

Pools make_pools(const BaseFormat& format, DType compute_dtype, Arena& arena, const Stream& stream) {
  const std::int64_t unit = kNestedBlock * format.block_size;
  const std::int64_t units = std::max<std::int64_t>(2, kPoolElements / unit) - 1;  // odd: rows do not fall on one another
  const std::vector<float> values = draw_weights(units * unit);
  Pools pools;
  pools.narrow = place_weights(values, unit, DType::bf16, arena, stream);
  pools.compute = place_weights(values, unit, compute_dtype, arena, stream);
  if (format.is_four_bit()) {
    quantize_pool(values, format, arena, stream, pools);
  }
  return pools;
}

void fill_weight(const WeightLayout& weight, Quantization quantization, const Pools& pools, std::int64_t start,
                 std::span<std::byte> block, const Stream& stream) {
  const auto section = [&](std::int64_t offset, std::int64_t bytes) {
    return block.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(bytes));
  };
  if (quantization == Quantization::none) {
    repeat(pools.narrow, start, section(weight.codes_offset, weight.codes_bytes), stream);
    return;
  }
  repeat(pools.codes, start, section(weight.codes_offset, weight.codes_bytes), stream);
  repeat(pools.absmax, start, section(weight.absmax_offset, weight.absmax_bytes), stream);
  if (weight.nested_bytes > 0) {
    repeat(pools.nested, start, section(weight.nested_offset, weight.nested_bytes), stream);
  }
}

std::span<float> make_norm(std::int64_t width, Arena& arena, const Stream& stream) {
  const std::vector<float> ones(static_cast<std::size_t>(width), 1.0F);
  const std::span<float> norm = arena.take<float>(MemoryKind::embedding_and_head, "norm", width);
  from_host(view(std::span(ones)), view(norm), stream);
  return norm;
}

VocabTable make_table(const ModelSpec& spec, const std::string& name, DType dtype, const Pool& pool, std::int64_t start,
                      Arena& arena, const Stream& stream) {
  VocabTable table = lay_out_table(spec.vocab, spec.hidden, dtype, spec.vocab, chunk_elements(stream.backend));
  const std::span<std::byte> memory = arena.take<std::byte>(MemoryKind::embedding_and_head, name, held_bytes(table));
  place_slices(table, memory);
  repeat(pool, start, memory, stream);
  return table;
}

}  // namespace

FrozenBase make_random_base(const ModelSpec& spec, const BaseFormat& format, DType compute_dtype, Arena& arena,
                            const Stream& stream) {
  Arena pool_arena(stream);
  const Pools pools = make_pools(format, compute_dtype, pool_arena, stream);
  require(format.quantization != Quantization::int8, "a random base is in four bits, or bf16");
  require(spec.norm_before && !spec.norm_after && !spec.width_norm, "a random base has norms before attention and MLP alone");
  std::array<WeightKind, kLinears> kinds;
  for (const Linear linear : kAllLinears) {
    const LinearShape shape = linear_shape(spec, linear);
    kinds[index_of(linear)] = {shape, shape, {1, shape.out * shape.in, 0, 0}, DType::bf16, format};
    require(!kinds[index_of(linear)].shape.bias, "a random base has no biases");
  }
  FrozenBase base;
  base.spec = spec;
  base.tp = tp_shard(spec, 0, 1);
  base.format = format;
  std::int64_t start = 0;
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    const BlockLayout layout = make_block_layout(kinds, 1);
    const std::span<std::byte> block =
        arena.take<std::byte>(MemoryKind::base_shard, "block " + std::to_string(layer), layout.slice_bytes);
    for (const WeightLayout& weight : layout.weights) {
      if (weight.rows > 0) {
        fill_weight(weight, format.quantization, pools, start++, block, stream);
      }
    }
    BlockRest rest;
    rest.attention_norm.weight = make_norm(spec.hidden, arena, stream);
    rest.mlp_norm.weight = make_norm(spec.hidden, arena, stream);
    rest.nested_offset.fill(pools.nested_offset);
    base.layouts.push_back(layout);
    base.slices.push_back(block);
    base.rest.push_back(rest);
  }
  base.final_norm.weight = make_norm(spec.hidden, arena, stream);
  base.head = make_table(spec, "head", compute_dtype, pools.compute, start++, arena, stream);
  base.embedding = spec.tied_head ? base.head : make_table(spec, "embedding", DType::bf16, pools.narrow, start++, arena, stream);
  synchronize(stream);  // before the pools are freed
  return base;
}

void fill_with_random_weights(TensorView to, const Stream& stream) {
  Arena pool_arena(stream);
  const Pool pool = place_weights(draw_weights(kPoolElements), 1, to.dtype, pool_arena, stream);
  const std::size_t bytes = static_cast<std::size_t>(to.count()) * size_of(to.dtype);
  repeat(pool, 0, {static_cast<std::byte*>(to.data), bytes}, stream);
  synchronize(stream);
}

}  // namespace lora_dist::benchmarks
