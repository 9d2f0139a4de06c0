// Lays out the trained ranges of a rank's slices, reduces their gradients, updates them.
#include "src/base/trained_base.h"

#include <algorithm>
#include <string>

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/slice.h"
#include "kernels/fixed_point/fixed_point.h"

namespace lora_dist {

namespace {

/// Appends a range to the unit and to the flat buffers.
void add_range(TrainedBase& made, TrainedUnit& unit, TrainedRange range) {
  if (range.count > 0) {
    range.offset = made.count;
    made.count += range.count;
    unit.ranges.push_back(range);
  }
}

std::span<float> floats_of(std::span<std::byte> bytes) {
  return {reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float)};
}

void add_blocks(TrainedBase& made, const FrozenBase& base, const FrozenBase& values, int shard) {
  for (std::size_t layer = 0; layer < base.layouts.size(); ++layer) {
    const BlockLayout& layout = base.layouts[layer];
    TrainedUnit& unit = made.blocks.emplace_back();
    unit.trained = made.matrices.any_in(layer);
    unit.slice = layout.slice_bytes / static_cast<std::int64_t>(size_of(made.dtype));
    unit.values = floats_of(values.slices[layer]);
    unit.held = base.slices[layer];
    for (const Linear linear : kAllLinears) {
      const WeightLayout& weight = layout.weights[index_of(linear)];
      if (weight.rows > 0 && made.matrices.linears[layer][index_of(linear)]) {
        const IndexRange held = elements_of(layout, weight, shard);
        add_range(made, unit, {linear, first_element(weight) + held.begin - shard * unit.slice, held.begin, 0, held.size()});
      }
    }
  }
}

std::vector<TrainedUnit> table_units(TrainedBase& made, const VocabTable& table, const VocabTable& values, bool trained,
                                     int shard) {
  std::vector<TrainedUnit> units;
  for (std::int64_t i = 0; i < table.chunks; ++i) {
    TrainedUnit& unit = units.emplace_back();
    unit.trained = trained;
    unit.slice = table.slice_bytes(i) / static_cast<std::int64_t>(size_of(table.dtype));
    unit.values = floats_of(values.slices[static_cast<std::size_t>(i)]);
    unit.held = table.slices[static_cast<std::size_t>(i)];
    if (trained) {
      const IndexRange held = table.slice_elements(i, shard);
      add_range(made, unit, {Linear::q, 0, held.begin, 0, held.size()});
    }
  }
  return units;
}

/// Elements of the largest trained weight or chunk, and of the largest unit.
struct Largest {
  std::int64_t matrix = 0;
  std::int64_t unit = 0;
};
Largest largest_of(const TrainedBase& made, const FrozenBase& base, int shards) {
  Largest largest;
  for (std::size_t layer = 0; layer < made.blocks.size(); ++layer) {
    for (std::size_t i = 0; i < kLinears; ++i) {
      const WeightLayout& weight = base.layouts[layer].weights[i];
      largest.matrix = std::max(largest.matrix, made.matrices.linears[layer][i] ? weight.rows * weight.cols : 0);
    }
  }
  const auto add_table = [&](const VocabTable& table, bool trained) {
    largest.matrix = std::max(largest.matrix, trained ? table.most_rows() * table.cols : 0);
  };
  add_table(base.embedding, made.matrices.embedding);
  add_table(base.head, made.matrices.head);
  for (const TrainedUnit* unit : all_units(made)) {
    largest.unit = std::max(largest.unit, unit->trained ? unit->slice * shards : 0);
  }
  return largest;
}

void take_trained_memory(TrainedBase& made, const Largest& largest, Arena& arena) {
  made.sums = arena.take_zeroed<std::int64_t>(MemoryKind::adapters, "gradients of the base, fixed point", made.count);
  made.m = arena.take_zeroed<float>(MemoryKind::optimizer, "first moments of the base", made.count);
  made.v = arena.take_zeroed<float>(MemoryKind::optimizer, "second moments of the base", made.count);
  made.unit_sums = arena.take_zeroed<std::int64_t>(MemoryKind::windows, "gradients of a block, fixed point", largest.unit);
  made.gradient = arena.take<float>(MemoryKind::scratch, "gradient of a weight", largest.matrix);
}

}  // namespace

TrainedBase make_trained_base(const FrozenBase& base, const FrozenBase& values, const TrainedMatrices& matrices, int shard,
                              Arena& arena) {
  require(base.trained && !base.of_node && !base.on_host, "this base was not loaded to be trained");
  TrainedBase made;
  made.matrices = matrices;
  made.tied = base.spec.tied_head;
  made.dtype = base.head.dtype;
  add_blocks(made, base, values, shard);
  made.embedding = table_units(made, base.embedding, values.embedding, matrices.embedding, shard);
  if (!made.tied) {
    made.head = table_units(made, base.head, values.head, matrices.head, shard);
  }
  take_trained_memory(made, largest_of(made, base, base.shards), arena);
  return made;
}

namespace {

/// The layout with elements of half as many bytes.
BlockLayout halved(BlockLayout layout, DType dtype) {
  for (WeightLayout& weight : layout.weights) {
    weight.dtype = dtype;
    for (std::int64_t* bytes : {&weight.codes_offset, &weight.codes_bytes, &weight.absmax_offset, &weight.nested_offset}) {
      *bytes /= 2;
    }
  }
  layout.bytes /= 2;
  layout.slice_bytes /= 2;
  return layout;
}

std::span<std::byte> rounded_slice(std::span<const std::byte> values, DType dtype, MemoryKind kind, const std::string& name,
                                   Arena& arena, const Stream& stream) {
  const auto count = static_cast<std::int64_t>(values.size() / sizeof(float));
  const std::span<std::byte> made = arena.take<std::byte>(kind, name, 2 * count);
  cast({values.data(), DType::f32, {count}}, {made.data(), dtype, {count}}, stream);
  return made;
}

VocabTable rounded_table(const VocabTable& values, DType dtype, const std::string& name, Arena& arena, const Stream& stream) {
  VocabTable table = values;
  table.dtype = dtype;
  table.narrowing = 2;
  for (std::span<std::byte>& slice : table.slices) {
    slice = rounded_slice(slice, dtype, MemoryKind::embedding_and_head, name, arena, stream);
  }
  return table;
}

}  // namespace

FrozenBase round_base(const FrozenBase& values, DType dtype, Arena& arena, const Stream& stream) {
  FrozenBase made = values;
  for (std::size_t layer = 0; layer < made.layouts.size(); ++layer) {
    made.layouts[layer] = halved(values.layouts[layer], dtype);
    made.slices[layer] = rounded_slice(values.slices[layer], dtype, MemoryKind::base_shard,
                                       "block " + std::to_string(layer) + " to compute with", arena, stream);
  }
  made.embedding = rounded_table(values.embedding, dtype, "embedding to compute with", arena, stream);
  made.head = made.spec.tied_head ? made.embedding : rounded_table(values.head, dtype, "head to compute with", arena, stream);
  return made;
}

TensorView unit_gradient(const TrainedBase& base, std::int64_t first, std::int64_t elements) {
  return view(base.unit_sums.data() + first, {elements});
}

std::int64_t first_element(const WeightLayout& weight) {
  return weight.codes_offset / static_cast<std::int64_t>(size_of(weight.dtype));
}

namespace {

TensorView sums_of_unit(const TrainedBase& base, const TrainedUnit& unit) {
  return unit_gradient(base, 0, unit.slice * base.shards->size());
}

template <class T>
TensorView part_view(std::span<T> all, std::int64_t first, std::int64_t count) {
  return view(all.data() + first, {count});
}

}  // namespace

void begin_unit(const TrainedBase& base, const TrainedUnit& unit, const Stream& stream) {
  if (unit.trained) {
    zero(sums_of_unit(base, unit), stream);
  }
}

void end_unit(const TrainedBase& base, const TrainedUnit& unit, const Stream& stream) {
  if (!unit.trained) {
    return;
  }
  const TensorView sums = sums_of_unit(base, unit);
  base.shards->reduce_scatter_sum(sums, WireKind::adapter_gradient);
  auto* const mine = equal_part(sums, base.shards->rank(), base.shards->size()).as<std::int64_t>();
  for (const TrainedRange& range : unit.ranges) {
    add_slice(view(static_cast<const std::int64_t*>(mine) + range.in_slice, {range.count}), {1, range.count, range.offset, 0},
              view(base.sums), stream);
  }
}

void update_trained_base(const TrainedBase& base, double clip, const AdamWStep& step, const Stream& stream) {
  for (const TrainedUnit* unit : all_units(base)) {
    for (const TrainedRange& range : unit->ranges) {
      const TensorView grads = part_view(base.gradient, 0, range.count);
      fixed_point_read(part_view(base.sums, range.offset, range.count), grads, stream);
      if (clip < 1.0) {
        scale(grads, static_cast<float>(clip), stream);
      }
      const TensorView values = part_view(unit->values, range.in_slice, range.count);
      adamw(values, grads, part_view(base.m, range.offset, range.count), part_view(base.v, range.offset, range.count), step,
            stream);
      if (base.dtype != DType::f32) {
        std::byte* held = unit->held.data() + static_cast<std::size_t>(range.in_slice) * size_of(base.dtype);
        cast(values, {held, base.dtype, {range.count}}, stream);
      }
    }
  }
}

std::vector<const TrainedUnit*> all_units(const TrainedBase& base) {
  std::vector<const TrainedUnit*> units;
  for (const std::vector<TrainedUnit>* of : {&base.blocks, &base.embedding, &base.head}) {
    for (const TrainedUnit& unit : *of) {
      units.push_back(&unit);
    }
  }
  return units;
}

}  // namespace lora_dist
