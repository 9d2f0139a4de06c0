// Small matrices go to the host and back; everything of the parameters' size stays in the operators' memory.
#include "src/adapter/adalora_step.h"

#include <algorithm>
#include <cmath>

#include "kernels/elementwise/copy.h"
#include "kernels/importance/importance.h"
#include "kernels/matmul/matmul.h"
#include "kernels/reduce/reduce.h"
#include "kernels/scale/scale.h"
#include "src/adapter/adapter_layout.h"

namespace lora_dist {

namespace {

std::vector<const AdaptedLinear*> adalora_modules(const AdapterLayout& layout) {
  std::vector<const AdaptedLinear*> modules;
  for (const auto& block : layout.blocks) {
    for (const auto& adapted : block) {
      if (adapted) {
        modules.push_back(&*adapted);
      }
    }
  }
  return modules;
}

TensorView tensor_part(std::span<float> all, const Parameter& parameter) {
  return view(all.data() + parameter.offset, parameter.shape);
}

/// Sums of x * y for each rank of each module: over a row of A, over a column of B, of E; three vectors [r] per module.
std::vector<float> sums_by_rank(const MethodStep& step, std::span<float> x, std::span<float> y) {
  std::int64_t next = 0;
  for (const AdaptedLinear* module : adalora_modules(step.layout)) {
    const auto sums = [&] {
      next += module->r;
      return view(step.memory.sums.data() + next - module->r, {module->r});
    };
    const Parameter& a = module->parameters[0];
    const Parameter& b = module->parameters[1];
    const Parameter& e = module->parameters[2];
    row_dots(tensor_part(x, a), tensor_part(y, a), false, sums(), step.stream);
    column_dots(tensor_part(x, b), tensor_part(y, b), sums(), step.stream);
    row_dots(tensor_part(x, e), tensor_part(y, e), false, sums(), step.stream);
  }
  std::vector<float> host(static_cast<std::size_t>(next));
  to_host(view(step.memory.sums.first(host.size())), view(std::span(host)), step.stream);
  return host;
}

/// Turns a Gram matrix G into factor / |G - I| * (G - I); returns |G - I|.
double deviation_from_identity(std::span<float> gram, std::int64_t r, double factor) {
  double squares = 0.0;
  for (std::int64_t i = 0; i < r * r; ++i) {
    float& value = gram[static_cast<std::size_t>(i)];
    value -= i / r == i % r ? 1.0F : 0.0F;
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  const double norm = std::sqrt(squares);
  for (float& value : gram) {
    value = norm > 0.0 ? static_cast<float>(factor / norm * static_cast<double>(value)) : 0.0F;
  }
  return norm;
}

/// A rank's importance: that of E, and the means of its row of A and its column of B.
std::vector<float> scores_of_ranks(const MethodStep& step) {
  const std::vector<float> sums = sums_by_rank(step, step.memory.sensitivity, step.memory.uncertainty);
  std::vector<float> scores;
  auto next = sums.begin();
  for (const AdaptedLinear* module : adalora_modules(step.layout)) {
    for (std::int64_t i = 0; i < module->r; ++i) {
      const float of_a = next[i] / static_cast<float>(module->in);
      const float of_b = next[module->r + i] / static_cast<float>(module->out);
      scores.push_back(next[2 * module->r + i] + (of_a + of_b));
    }
    next += 3 * module->r;
  }
  return scores;
}

/// E = 0 for the ranks that are not kept.
void apply_mask(const MethodStep& step) {
  const std::vector<float> mask(step.budget.kept.begin(), step.budget.kept.end());
  const std::span<float> factors = step.memory.sums.first(mask.size());
  from_host(view(std::span<const float>(mask)), view(factors), step.stream);
  std::int64_t next = 0;
  for (const AdaptedLinear* module : adalora_modules(step.layout)) {
    const TensorView e = tensor_part(step.params, module->parameters[2]);
    scale_rows(e, view(factors.data() + next, {module->r}), e, step.stream);
    next += module->r;
  }
}

}  // namespace

StepMemory take_adalora_memory(const AdapterLayout& layout, Arena& arena) {
  std::int64_t gram_elements = 0;
  std::int64_t ranks = 0;
  for (const AdaptedLinear* module : adalora_modules(layout)) {
    gram_elements += 2 * module->r * module->r;
    ranks += module->r;
  }
  StepMemory memory;
  memory.sensitivity = arena.take_zeroed<float>(MemoryKind::optimizer, "sensitivity of parameters", layout.count);
  memory.uncertainty = arena.take_zeroed<float>(MemoryKind::optimizer, "uncertainty of sensitivity", layout.count);
  memory.grams = arena.take_zeroed<float>(MemoryKind::adapters, "Gram matrices of factors", gram_elements);
  memory.sums = arena.take_zeroed<float>(MemoryKind::adapters, "sums by rank", 3 * ranks);
  return memory;
}

RegularizationLoss add_orthogonality(const MethodStep& step) {
  const std::vector<const AdaptedLinear*> modules = adalora_modules(step.layout);
  const auto for_each_gram = [&](const auto& work) {  // work(A or B, its Gram matrix, whether it is B)
    std::int64_t next = 0;
    for (const AdaptedLinear* module : modules) {
      for (const bool is_b : {false, true}) {
        work(module->parameters[is_b ? 1 : 0], view(step.memory.grams.data() + next, {module->r, module->r}), is_b);
        next += module->r * module->r;
      }
    }
  };
  for_each_gram([&](const Parameter& parameter, const TensorView& gram, bool is_b) {
    const TensorView x = tensor_part(step.params, parameter);
    matmul(
        {.a = x, .op_a = is_b ? Transpose::yes : Transpose::no, .b = x, .op_b = is_b ? Transpose::no : Transpose::yes, .c = gram},
        step.stream);
  });
  std::vector<float> host(step.memory.grams.size());
  to_host(view(step.memory.grams), view(std::span(host)), step.stream);
  const double weight = step.options.orth_reg_weight / (2.0 * static_cast<double>(modules.size()));
  double loss = 0.0;
  for_each_gram([&](const Parameter& /*parameter*/, const TensorView& gram, bool /*is_b*/) {
    const auto first = static_cast<std::size_t>(gram.as<float>() - step.memory.grams.data());
    loss += weight * deviation_from_identity(std::span(host).subspan(first, static_cast<std::size_t>(gram.count())), gram.rows(),
                                             2.0 * weight);
  });
  from_host(view(std::span<const float>(host)), view(step.memory.grams), step.stream);
  for_each_gram([&](const Parameter& parameter, const TensorView& gram, bool is_b) {
    const TensorView x = tensor_part(step.params, parameter);
    const TensorView gradient = tensor_part(step.grads, parameter);
    matmul({.a = is_b ? x : gram, .b = is_b ? gram : x, .added = {.beta = 1.0F}, .c = gradient}, step.stream);
  });
  double squared_norm = 0.0;
  for (const float sum : sums_by_rank(step, step.grads, step.grads)) {
    squared_norm += static_cast<double>(sum);
  }
  return {loss, squared_norm};
}

std::int64_t ranks_at(const AdaLoraOptions& options, std::int64_t step, std::int64_t total_steps, std::int64_t all,
                      std::int64_t target) {
  if (step <= options.tinit) {
    return all;
  }
  const std::int64_t end = total_steps - options.tfinal;
  if (step >= end) {
    return target;
  }
  const double left = 1.0 - static_cast<double>(step - options.tinit) / static_cast<double>(end - options.tinit);
  return static_cast<std::int64_t>(static_cast<double>(all - target) * std::pow(left, 3.0) + static_cast<double>(target));
}

void choose_ranks(const MethodStep& step) {
  const AdaLoraOptions& options = step.options;
  const bool ends = step.step >= step.total_steps - options.tfinal;
  if (!step.budget.final) {
    if (!ends) {
      importance(view(step.params), view(step.grads), view(step.memory.sensitivity), view(step.memory.uncertainty),
                 {options.beta1, options.beta2}, step.stream);
    }
    if (!ends && (step.step <= options.tinit || step.step % options.delta_t != 0)) {
      return;
    }
    const std::vector<float> scores = scores_of_ranks(step);
    const auto modules = static_cast<std::int64_t>(adalora_modules(step.layout).size());
    const std::int64_t left = ranks_at(options, step.step, step.total_steps, std::ssize(scores), options.target_r * modules);
    const auto gone = static_cast<std::size_t>(std::ssize(scores) - std::min(left, std::ssize(scores)));
    std::vector<float> ordered = scores;
    std::sort(ordered.begin(), ordered.end());
    step.budget.kept.assign(scores.size(), true);
    for (std::size_t i = 0; gone > 0 && i < scores.size(); ++i) {
      step.budget.kept[i] = scores[i] > ordered[gone - 1];  // ties with the last pruned rank are pruned too, as in PEFT
    }
    step.budget.final = ends;
  }
  apply_mask(step);
}

}  // namespace lora_dist
