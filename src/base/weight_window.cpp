// Fetches blocks into two slots used in turn, and on a GPU dequantizes them ahead of their use.
#include "src/base/weight_window.h"

#include <algorithm>
#include <exception>

#include "kernels/common/work_record.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/quantize/quantize_4bit.h"
#include "kernels/quantize/quantize_absmax.h"
#include "kernels/quantize/quantize_int8.h"

namespace lora_dist {

namespace {

// In elements. Products choose their algorithm by the alignment of addresses, up to 256 bytes.
constexpr std::int64_t kDenseAlign = 128;

bool is_dense_already(const WeightLayout& weight, DType dtype) {
  return weight.format.quantization == Quantization::none && weight.dtype == dtype;
}

/// True if every weight of the base must be dequantized.
bool is_all_quantized(const FrozenBase& base) {
  const auto quantized = [](const WeightLayout& weight) {
    return weight.rows == 0 || weight.format.quantization != Quantization::none;
  };
  return std::all_of(base.layouts.begin(), base.layouts.end(), [&](const BlockLayout& layout) {
    return std::all_of(layout.weights.begin(), layout.weights.end(), quantized);
  });
}

/// The offset of each weight in a dequantized block, in elements; the last entry is the total length.
using DenseOffsets = std::array<std::int64_t, kLinears + 1>;
DenseOffsets dense_offsets(const BlockLayout& layout, DType dtype) {
  DenseOffsets offsets{};
  for (std::size_t i = 0; i < kLinears; ++i) {
    const WeightLayout& weight = layout.weights[i];
    const std::int64_t count = is_dense_already(weight, dtype) ? 0 : weight.rows * weight.cols;
    offsets[i + 1] = offsets[i] + (count + kDenseAlign - 1) / kDenseAlign * kDenseAlign;
  }
  return offsets;
}

}  // namespace

WindowBuffers take_window_buffers(const FrozenBase& base, Arena& arena, bool ahead, DType compute_dtype) {
  const bool gathers = base.gathers() || base.on_host;
  std::int64_t dense = 0;
  if (ahead) {
    for (const BlockLayout& layout : base.layouts) {
      dense = std::max(dense, dense_offsets(layout, compute_dtype).back());
    }
  }
  WindowBuffers taken;
  taken.in_place = !gathers && dense == 0;
  taken.one_window = gathers && dense > 0 && is_all_quantized(base);  // only dequantization reads the bytes
  for (std::size_t i = 0; i < taken.bytes.size(); ++i) {
    const std::string number = std::to_string(i);
    if (gathers && taken.one_window && i > 0) {
      taken.bytes[i] = taken.bytes[0];
    } else if (gathers) {
      taken.bytes[i] = arena.take<std::byte>(MemoryKind::windows, "window " + number, base.largest_window());
    }
    if (dense > 0) {
      taken.dense[i] = arena.take<std::byte>(MemoryKind::windows, "dequantized block " + number,
                                             dense * static_cast<std::int64_t>(size_of(compute_dtype)));
    }
  }
  if (dense > 0) {
    taken.absmax = arena.take<float>(MemoryKind::scratch, "dequantized absmax", base.most_scales());
  }
  taken.tables = take_table_buffers(base, arena);
  return taken;
}

WeightWindow::WeightWindow(const FrozenBase& base, Communicator& shards, Arena& arena, const Stream& compute, DType compute_dtype,
                           std::int64_t micro_batches_in_flight)
    : base_(base),
      shards_(shards),
      compute_dtype_(compute_dtype),
      compute_(compute),
      memory_(take_window_buffers(base, arena, dequantizes_ahead(compute.backend, micro_batches_in_flight), compute_dtype)),
      stream_(!memory_.in_place && compute.is_of_device() ? make_device_stream() : compute),
      tables_(memory_.tables, shards, compute, stream_),
      exceptions_(std::uncaught_exceptions()) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].bytes = memory_.bytes[i];
    slots_[i].dense = memory_.dense[i];
  }
  if (stream_.handle != compute_.handle) {
    shards_.follow(stream_);
  }
}

WeightWindow::~WeightWindow() {
  if (std::uncaught_exceptions() > exceptions_) {
    shards_.abort();
  }
  for (Slot& slot : slots_) {
    slot.gather.drop();
  }
  tables_.drop();
  if (stream_.handle != compute_.handle) {
    shards_.follow(compute_);
    destroy_device_stream(stream_);
  }
}

GatherTimes WeightWindow::gather_times() const {
  const GatherTimes& tables = tables_.gather_times();
  return {times_.under_way + tables.under_way, times_.waited + tables.waited};
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
  if (memory_.in_place || find(layer) != nullptr) {
    return;
  }
  Slot& slot = slots_[0].held ? slots_[1] : slots_[0];
  require(!slot.held, "at most one block of a window may be held while another is gathered");
  if (slot.gather.under_way()) {  // an unused prefetch
    slot.gather.wait(times_);
  }
  if (memory_.one_window) {
    finish(slots_[&slot == slots_.data() ? 1 : 0]);
  }
  slot.layer = layer;
  slot.ready = false;
  fetch(slot);
  if (!slot.gather.under_way() || slot.gather.move(times_)) {
    finish(slot);
  }
}

/// Starts a block's copies and gather.
void WeightWindow::fetch(Slot& slot) {
  const auto l = static_cast<std::size_t>(slot.layer);
  note_work(stream_, kBlockFetch, {.bytes = base_.layouts[l].slice_bytes});
  slot.read.stream_wait(stream_);
  if (slot.bytes.empty()) {
    return;
  }
  std::span<const std::byte> mine = base_.slices[l];
  const std::span<std::byte> all = slot.bytes.first(mine.size() * static_cast<std::size_t>(base_.shards));
  if (base_.on_host) {
    const std::span<std::byte> place = all.subspan(mine.size() * static_cast<std::size_t>(shards_.rank()), mine.size());
    copy_bytes(place.data(), mine.data(), mine.size(), stream_);
    mine = place;
  }
  if (base_.shards > 1) {
    slot.gather.start(shards_, mine, all, times_);
  }
}

/// Continues after a block's bytes have arrived.
void WeightWindow::finish(Slot& slot) {
  if (slot.ready) {
    return;
  }
  if (slot.gather.under_way()) {
    slot.gather.wait(times_);
  }
  const WorkPart part(stream_, kDequantizing);
  const BlockWeights weights = weights_of(slot.layer, slot);
  blocks_dequantized_ += slot.dense.empty() ? 0 : 1;
  for (const FrozenWeight& weight : weights) {
    if (weight.dense.data != nullptr) {
      FrozenWeight codes = weight;
      codes.dense = {};
      dequantize(codes, weight.dense, memory_.absmax, stream_);
    }
  }
  slot.filled.record(stream_);
  slot.ready = true;
}

BlockWeights WeightWindow::weights_of(std::int64_t layer, const Slot& slot) const {
  const auto l = static_cast<std::size_t>(layer);
  const BlockLayout& layout = base_.layouts[l];
  const DenseOffsets offsets = dense_offsets(layout, compute_dtype_);
  BlockWeights weights;
  for (std::size_t i = 0; i < kLinears; ++i) {
    const WeightLayout& weight = layout.weights[i];
    weights[i] = {&weight,
                  slot.bytes.empty() ? base_.block_in_place(layer, shards_.rank()) : slot.bytes.data(),
                  base_.rest[l].nested_offset[i],
                  {}};
    if (!slot.dense.empty() && offsets[i + 1] > offsets[i]) {
      std::byte* dense = slot.dense.data() + static_cast<std::size_t>(offsets[i]) * size_of(compute_dtype_);
      weights[i].dense = {dense, compute_dtype_, {weight.rows, weight.cols}};
    }
  }
  return weights;
}

BlockWeights WeightWindow::acquire(std::int64_t layer) {
  if (memory_.in_place) {
    return weights_of(layer, Slot{});
  }
  prefetch(layer);
  Slot& slot = *find(layer);
  finish(slot);
  slot.filled.stream_wait(compute_);
  slot.held = true;
  return weights_of(layer, slot);
}

void WeightWindow::release(std::int64_t layer) {
  if (Slot* slot = find(layer); slot != nullptr) {
    slot->read.record(compute_);
    slot->held = false;
  }
}

void WeightWindow::begin_change() {
  for (Slot& slot : slots_) {
    if (slot.gather.under_way()) {
      slot.gather.wait(times_);
    }
    slot.filled.record(stream_);
    slot.filled.stream_wait(compute_);
    slot.layer = -1;
    slot.ready = true;
  }
  tables_.begin_change();
}

void WeightWindow::end_change() {
  for (Slot& slot : slots_) {
    slot.read.record(compute_);  // the next fetch waits for it
  }
  tables_.end_change();
}

void WeightWindow::progress() {
  for (Slot& slot : slots_) {
    if (slot.gather.under_way() && slot.gather.move(times_)) {
      finish(slot);
    }
  }
  tables_.progress();
}

void WeightWindow::serve(std::int64_t layer, std::int64_t next) {
  acquire(layer);
  if (next >= 0) {
    prefetch(next);
  }
  release(layer);
}

namespace {

/// The f32 scales of a quantized weight: in place, or in scratch.
ConstTensorView scales_of(const FrozenWeight& weight, std::span<float> scratch, const Stream& stream) {
  const WeightLayout& layout = *weight.layout;
  const Shape shape{layout.scales()};
  const std::byte* absmax = weight.block + layout.absmax_offset;
  if (!layout.format.nested()) {
    return {absmax, DType::f32, shape};
  }
  const TensorView expanded = view(scratch.data(), shape);
  const ConstTensorView codes{absmax, DType::u8, shape};
  const ConstTensorView nested{weight.block + layout.nested_offset, DType::f32, {layout.nested_bytes / 4}};
  if (layout.is_whole()) {
    dequantize_absmax(codes, nested, weight.nested_offset, expanded, stream);
  } else {
    dequantize_absmax_part(codes, nested, weight.nested_offset, layout.scale_elements(), layout.in_whole, expanded, stream);
  }
  return expanded;
}

}  // namespace

ConstTensorView dequantize(const FrozenWeight& weight, const TensorView& weight_scratch, std::span<float> absmax_scratch,
                           const Stream& stream) {
  if (weight.dense.data != nullptr) {
    return weight.dense;
  }
  const WeightLayout& layout = *weight.layout;
  const Shape shape{layout.rows, layout.cols};
  const void* codes = weight.block + layout.codes_offset;
  if (layout.format.quantization == Quantization::none) {
    if (layout.dtype == weight_scratch.dtype) {
      return {codes, layout.dtype, shape};
    }
    const TensorView out{weight_scratch.data, weight_scratch.dtype, shape};
    cast({codes, layout.dtype, shape}, out, stream);
    return out;
  }
  const TensorView out{weight_scratch.data, weight_scratch.dtype, shape};
  const ConstTensorView scales = scales_of(weight, absmax_scratch, stream);
  if (layout.format.quantization == Quantization::int8) {
    dequantize_int8({codes, DType::i8, shape}, scales, out, stream);
  } else if (const TensorView values{out.data, out.dtype, {shape.count()}};
             is_cut_between_blocks(layout.in_whole, layout.format.block_size)) {
    dequantize_4bit({.codes = {codes, DType::u8, {layout.codes_bytes}},
                     .absmax = scales,
                     .block_size = layout.format.block_size,
                     .code = layout.format.code()},
                    values, stream);
  } else {
    dequantize_4bit_part({.codes = {codes, DType::u8, {layout.codes_bytes}},
                          .absmax = scales,
                          .block_size = layout.format.block_size,
                          .code = layout.format.code()},
                         layout.in_whole, values, stream);
  }
  return out;
}

}  // namespace lora_dist
