// Lays out a part's parameters, and moves values between them and the whole.
#include "src/adapter/adapter_shard.h"

#include "kernels/elementwise/slice.h"

namespace lora_dist {

namespace {

/// Where a rank's part of a parameter lies in the whole parameter.
StridedSlice slice_of(const Parameter& parameter, const ModelSpec& whole, const TpShard& part, Linear linear) {
  switch (parameter.cut) {
    case TpCut::outputs:
      return b_slice(whole, part, linear, parameter.cols());
    case TpCut::inputs:
      return a_slice(whole, part, linear, parameter.shape[0]);
    case TpCut::none:
      break;
  }
  return {1, parameter.shape.count(), 0, 0};
}

/// The parameter as a rank has it: so many elements of it.
Shape shape_of(const Parameter& parameter, std::int64_t elements) {
  const std::int64_t rows = parameter.cut == TpCut::outputs ? elements / parameter.cols() : parameter.shape[0];
  return parameter.shape.rank == 1 ? Shape{elements} : Shape{rows, elements / rows};
}

}  // namespace

AdapterShard make_adapter_shard(const AdapterLayout& layout, const ModelSpec& whole, const TpShard& part) {
  AdapterShard made;
  made.layout = layout;
  if (part.is_whole()) {
    return made;
  }
  made.layout.count = 0;
  const ModelSpec local = spec_of(whole, part);
  for (auto& block : made.layout.blocks) {
    for (const Linear linear : kAllLinears) {
      auto& adapted = block[index_of(linear)];
      if (!adapted) {
        continue;
      }
      const LinearShape shape = linear_shape(local, linear);
      adapted->in = shape.in;
      adapted->out = shape.out;
      adapted->first_in = first_input(whole, part, linear);
      for (Parameter& parameter : adapted->parameters) {
        StridedSlice slice = slice_of(parameter, whole, part, linear);
        slice.start += parameter.offset;
        parameter.shape = shape_of(parameter, slice.elements());
        parameter.offset = made.layout.count;
        made.parameters.push_back({slice, parameter.offset});
        made.layout.count += slice.elements();
      }
    }
  }
  return made;
}

void take_shard(const AdapterShard& part, std::span<const float> params, std::span<float> part_params, const Stream& stream) {
  for (const ParameterShard& parameter : part.parameters) {
    const TensorView to = view(part_params.data() + parameter.offset, {parameter.in_whole.elements()});
    take_slice(view(params), parameter.in_whole, to, stream);
  }
}

void add_shard(const AdapterShard& part, std::span<const std::int64_t> part_sums, std::span<std::int64_t> sums,
               const Stream& stream) {
  for (const ParameterShard& parameter : part.parameters) {
    const auto from =
        part_sums.subspan(static_cast<std::size_t>(parameter.offset), static_cast<std::size_t>(parameter.in_whole.elements()));
    add_slice(view(from), parameter.in_whole, view(sums), stream);
  }
}

}  // namespace lora_dist
