// Lays out a shard's parameters, and copies values between shard and whole.
#include "src/adapter/adapter_shard.h"

#include "kernels/elementwise/slice.h"

namespace lora_dist {

namespace {

/// The strided slice of the whole parameter that is a rank's shard.
StridedSlice slice_of(const Parameter& parameter, const ModelSpec& whole, const TpShard& shard, Linear linear) {
  switch (parameter.cut) {
    case TpCut::outputs:
      return b_slice(whole, shard, linear, parameter.cols());
    case TpCut::inputs:
      return a_slice(whole, shard, linear, parameter.shape[0]);
    case TpCut::none:
    case TpCut::kv_heads:
      break;
  }
  return {1, parameter.shape.count(), 0, 0};
}

/// The slice of the virtual tokens that is a rank's shard: of keys and values, those of its heads.
StridedSlice slice_of(const Parameter& parameter, const ModelSpec& whole, const TpShard& shard) {
  if (parameter.cut == TpCut::none) {
    return {1, parameter.shape.count(), 0, 0};
  }
  return {parameter.shape[0] * whole.layers * 2, shard.kv_heads.size() * whole.head_dim, shard.kv_heads.begin * whole.head_dim,
          whole.key_width()};
}

/// The slice of a trained table that is a rank's shard: the rows of its ids.
StridedSlice slice_of_table(const Parameter& parameter, const TpShard& shard) {
  const std::int64_t width = parameter.cols();
  return parameter.cut == TpCut::none ? StridedSlice{1, parameter.shape.count(), 0, 0}
                                      : StridedSlice{1, shard.vocab.size() * width, shard.vocab.begin * width, 0};
}

/// The shape of the parameter's shard, which has that many elements.
Shape shape_of(const Parameter& parameter, std::int64_t elements) {
  const std::int64_t rows = parameter.cut == TpCut::outputs ? elements / parameter.cols() : parameter.shape[0];
  return parameter.shape.rank == 1 ? Shape{elements} : Shape{rows, elements / rows};
}

/// The slice of a small tensor of the base that is a rank's shard; empty for a bias that another rank adds.
StridedSlice slice_of(const TrainedVector& vector, const ModelSpec& whole, const TpShard& shard) {
  const auto of_heads = [&](const IndexRange& heads) {
    return StridedSlice{1, heads.size() * whole.head_dim, heads.begin * whole.head_dim, 0};
  };
  switch (vector.site) {
    case VectorSite::bias:
      return bias_slice(whole, shard, vector.linear);
    case VectorSite::q_norm:
    case VectorSite::k_norm:
      if (whole.width_norm) {
        return of_heads(vector.site == VectorSite::q_norm ? shard.heads : shard.kv_heads);
      }
      break;
    case VectorSite::positions:
      break;
  }
  return {1, vector.parameter.shape.count(), 0, 0};
}

/// Appends parameters that every rank has whole.
void add_whole(AdapterShard& shard, std::vector<Parameter>& parameters) {
  for (Parameter& parameter : parameters) {
    const std::int64_t count = parameter.shape.count();
    shard.parameters.push_back({{1, count, parameter.offset, parameter.offset}, shard.layout.count});
    parameter.offset = shard.layout.count;
    shard.layout.count += count;
  }
}

/// Moves a frozen tensor to its offset in the shard's buffer; linears with the same slice share it.
void place_frozen(Parameter& frozen, const StridedSlice& slice, AdapterShard& shard) {
  const auto found = std::ranges::find_if(shard.frozen, [&](const ParameterShard& known) { return known.in_whole == slice; });
  frozen.shape = shape_of(frozen, slice.elements());
  frozen.offset = found == shard.frozen.end() ? shard.layout.frozen_count : found->offset;
  if (found == shard.frozen.end()) {
    shard.frozen.push_back({slice, frozen.offset});
    shard.layout.frozen.push_back(frozen);
    shard.layout.frozen_count += slice.elements();
  }
}

StridedSlice moved(StridedSlice slice, std::int64_t offset) {
  slice.start += offset;
  slice.lead_start += offset;
  return slice;
}

}  // namespace

AdapterShard make_adapter_shard(const AdapterLayout& layout, const ModelSpec& whole, const TpShard& shard) {
  AdapterShard made;
  made.layout = layout;
  made.layout.encoder.reset();
  made.layout.count = layout.used_count();
  if (shard.is_whole()) {
    return made;
  }
  made.layout.count = 0;
  made.layout.frozen.clear();
  made.layout.frozen_count = 0;
  const auto add = [&](Parameter& parameter, const StridedSlice& of_parameter) {
    const StridedSlice slice = moved(of_parameter, parameter.offset);
    parameter.shape = shape_of(parameter, slice.elements());
    parameter.offset = made.layout.count;
    made.parameters.push_back({slice, parameter.offset});
    made.layout.count += slice.elements();
  };
  if (layout.virtual_tokens.count > 0) {
    Parameter& parameter = made.layout.virtual_tokens.parameter;
    add(parameter, slice_of(parameter, whole, shard));
  }
  const ModelSpec local = spec_of(whole, shard);
  for (auto& block : made.layout.blocks) {
    for (const Linear linear : kAllLinears) {
      auto& adapted = block[index_of(linear)];
      if (!adapted) {
        continue;
      }
      const LinearShape shape = linear_shape(local, linear);
      adapted->in = shape.in;
      adapted->out = shape.out;
      adapted->first_in = first_input(whole, shard, linear);
      for (Parameter& parameter : adapted->parameters) {
        add(parameter, slice_of(parameter, whole, shard, linear));
      }
      for (Parameter& frozen : adapted->frozen) {
        place_frozen(frozen, moved(slice_of(frozen, whole, shard, linear), frozen.offset), made);
      }
    }
  }
  for (TrainedVector& vector : made.layout.vectors) {
    add(vector.parameter, slice_of(vector, whole, shard));
  }
  for (TrainedNorm& norm : made.layout.norms) {
    add_whole(made, norm.parameters);
  }
  for (TrainedTable& table : made.layout.tables) {
    add(table.parameter, slice_of_table(table.parameter, shard));
  }
  for (Bottleneck& bottleneck : made.layout.bottlenecks.all) {
    add_whole(made, bottleneck.parameters);
  }
  return made;
}

void take_shard(const AdapterShard& shard, std::span<const float> params, std::span<float> shard_params, const Stream& stream) {
  for (const ParameterShard& parameter : shard.parameters) {
    const TensorView to = view(shard_params.data() + parameter.offset, {parameter.in_whole.elements()});
    take_slice(view(params), parameter.in_whole, to, stream);
  }
}

void add_shard(const AdapterShard& shard, std::span<const std::int64_t> shard_sums, std::span<std::int64_t> sums,
               const Stream& stream) {
  for (const ParameterShard& parameter : shard.parameters) {
    const auto from =
        shard_sums.subspan(static_cast<std::size_t>(parameter.offset), static_cast<std::size_t>(parameter.in_whole.elements()));
    add_slice(view(from), parameter.in_whole, view(sums), stream);
  }
}

}  // namespace lora_dist
