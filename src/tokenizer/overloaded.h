// Combines lambdas into a visitor of a std::variant.
#pragma once

namespace lora_dist {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace lora_dist
