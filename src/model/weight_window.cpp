// Gathers blocks into two buffers that take turns, and dequantizes a weight out of one.
#include "src/model/weight_window.h"

#include <chrono>

#include "kernels/cast/cast.h"
#include "kernels/nf4/nf4.h"

namespace lora_dist {

WeightWindow::WeightWindow(const FrozenBase& base, Communicator& shards, Arena& arena) : base_(base), shards_(shards) {
  if (base.shards == 1) {
    return;  // the shard is the whole block
  }
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].bytes = arena.take<std::byte>(MemoryKind::windows, "window " + std::to_string(i), base.largest_window());
  }
}

WeightWindow::Slot* WeightWindow::find(std::int64_t layer) {
  for (Slot& slot : slots_) {
    if (slot.layer == layer) {
      return &slot;
    }
  }
  return nullptr;
}

void WeightWindow::prefetch(std::int64_t layer) {
  if (base_.shards == 1 || find(layer) != nullptr) {
    return;
  }
  Slot& slot = slots_[0].held ? slots_[1] : slots_[0];
  require(!slot.held, "at most one block of a window may be held while another is gathered");
  slot.pending.reset();  // waits for a gather that nobody came for
  slot.layer = layer;
  const auto l = static_cast<std::size_t>(layer);
  const auto size = static_cast<std::size_t>(base_.layouts[l].part_bytes * base_.shards);
  slot.pending = shards_.start_all_gather(base_.parts[l], slot.bytes.first(size), WireKind::base_gather);
}

BlockWeights WeightWindow::acquire(std::int64_t layer) {
  prefetch(layer);
  const auto l = static_cast<std::size_t>(layer);
  const std::byte* bytes = base_.parts[l].data();
  if (base_.shards > 1) {
    Slot& slot = *find(layer);
    if (slot.pending != nullptr) {
      const auto start = std::chrono::steady_clock::now();
      slot.pending->wait();
      slot.pending.reset();
      waited_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    slot.held = true;
    bytes = slot.bytes.data();
  }
  BlockWeights weights;
  for (std::size_t i = 0; i < kLinears; ++i) {
    weights[i] = {&base_.layouts[l].weights[i], &base_.format, bytes, base_.rest[l].nested_offset[i]};
  }
  return weights;
}

void WeightWindow::release(std::int64_t layer) {
  if (Slot* slot = find(layer); slot != nullptr) {
    slot->held = false;
  }
}

void WeightWindow::poke() {
  for (Slot& slot : slots_) {
    if (slot.pending != nullptr) {
      slot.pending->poke();
    }
  }
}

void WeightWindow::serve(std::int64_t layer, std::int64_t next) {
  acquire(layer);
  if (next >= 0) {
    prefetch(next);
  }
  release(layer);
}

ConstTensorView dequantize(const FrozenWeight& weight, const TensorView& weight_scratch, std::span<float> absmax_scratch,
                           const Stream& stream) {
  const WeightLayout& layout = *weight.layout;
  const Shape shape{layout.rows, layout.cols};
  const void* codes = weight.block + layout.codes_offset;
  if (weight.format->quantization == Quantization::none) {
    if (layout.dtype == weight_scratch.dtype) {
      return {codes, layout.dtype, shape};
    }
    const TensorView out{weight_scratch.data, weight_scratch.dtype, shape};
    cast({codes, layout.dtype, shape}, out, stream);
    return out;
  }
  const std::int64_t blocks = weight.format->double_quant ? layout.absmax_bytes : layout.absmax_bytes / 4;
  ConstTensorView absmax{weight.block + layout.absmax_offset, DType::f32, {blocks}};
  if (weight.format->double_quant) {
    const TensorView expanded = view(absmax_scratch.data(), {blocks});
    nested_dequantize({weight.block + layout.absmax_offset, DType::u8, {blocks}},
                      {weight.block + layout.nested_offset, DType::f32, {layout.nested_bytes / 4}}, weight.nested_offset,
                      expanded, stream);
    absmax = expanded;
  }
  const TensorView out{weight_scratch.data, weight_scratch.dtype, {layout.rows * layout.cols}};
  nf4_dequantize({codes, DType::u8, {layout.codes_bytes}}, absmax, weight.format->block_size, out, FourBit::nf4, stream);
  return {out.data, out.dtype, shape};
}

}  // namespace lora_dist
