// Lays out a part's factors, and moves values between them and the whole.
#include "src/adapter/adapter_part.h"

#include "kernels/elementwise/slice.h"

namespace lora_dist {

AdapterPart make_adapter_part(const AdapterLayout& layout, const ModelSpec& whole, const TensorPart& part) {
  AdapterPart made;
  if (part.is_whole()) {
    made.layout = layout;
    return made;
  }
  made.layout.family = layout.family;
  made.layout.blocks.resize(layout.blocks.size());
  const auto add = [&made](StridedSlice slice, std::int64_t in_whole) {
    slice.start += in_whole;
    const std::int64_t offset = made.layout.count;
    made.factors.push_back({slice, offset});
    made.layout.count += slice.elements();
    return offset;
  };
  for (std::size_t layer = 0; layer < layout.blocks.size(); ++layer) {
    for (const Linear linear : kAllLinears) {
      const auto& place = layout.blocks[layer][index_of(linear)];
      if (!place) {
        continue;
      }
      const StridedSlice a = a_slice(whole, part, linear, place->r);
      const StridedSlice b = b_slice(whole, part, linear, place->r);
      LoraPlace local = *place;
      local.in = a.elements() / place->r;
      local.out = b.elements() / place->r;
      local.first_in = first_input(whole, part, linear);
      local.a = add(a, place->a);
      local.b = add(b, place->b);
      made.layout.blocks[layer][index_of(linear)] = local;
    }
  }
  return made;
}

void take_part(const AdapterPart& part, std::span<const float> params, std::span<float> part_params, const Stream& stream) {
  for (const FactorPart& factor : part.factors) {
    const TensorView to = view(part_params.data() + factor.offset, {factor.in_whole.elements()});
    take_slice(view(params), factor.in_whole, to, stream);
  }
}

void add_part(const AdapterPart& part, std::span<const std::int64_t> part_sums, std::span<std::int64_t> sums,
              const Stream& stream) {
  for (const FactorPart& factor : part.factors) {
    const auto from =
        part_sums.subspan(static_cast<std::size_t>(factor.offset), static_cast<std::size_t>(factor.in_whole.elements()));
    add_slice(view(from), factor.in_whole, view(sums), stream);
  }
}

}  // namespace lora_dist
