// Lays out a part's factors, and moves values between them and the whole.
#include "src/adapter/adapter_part.h"

#include "kernels/runs/runs.h"

namespace lora_dist {

AdapterPart make_adapter_part(const AdapterLayout& layout, const ModelSpec& whole, const TensorPart& part) {
  AdapterPart made;
  if (part.is_whole()) {
    made.layout = layout;
    return made;
  }
  made.layout.family = layout.family;
  made.layout.blocks.resize(layout.blocks.size());
  const auto add = [&made](Runs runs, std::int64_t in_whole) {
    runs.start += in_whole;
    const std::int64_t offset = made.layout.count;
    made.factors.push_back({runs, offset});
    made.layout.count += runs.elements();
    return offset;
  };
  for (std::size_t layer = 0; layer < layout.blocks.size(); ++layer) {
    for (const Linear linear : kAllLinears) {
      const auto& place = layout.blocks[layer][index_of(linear)];
      if (!place) {
        continue;
      }
      const Runs a = a_runs(whole, part, linear, place->r);
      const Runs b = b_runs(whole, part, linear, place->r);
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
    const TensorView to = view(part_params.data() + factor.offset, {factor.runs.elements()});
    take_runs(view(params), factor.runs, to, stream);
  }
}

void add_part(const AdapterPart& part, std::span<const std::int64_t> part_sums, std::span<std::int64_t> sums,
              const Stream& stream) {
  for (const FactorPart& factor : part.factors) {
    const auto from =
        part_sums.subspan(static_cast<std::size_t>(factor.offset), static_cast<std::size_t>(factor.runs.elements()));
    add_runs(view(from), factor.runs, view(sums), stream);
  }
}

}  // namespace lora_dist
