// The cases of products, of int8 weights and of the loss.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tests/operators/elementwise_cases.h"
#include "tests/operators/operator_case.h"

namespace lora_dist::operators {

using ProductShapes = std::vector<std::array<std::int64_t, 3>>;  // (m, n, k)

void add_int8(std::vector<OperatorCase>& cases, const Rows& shapes);
/// Shapes are (tokens, vocabulary).
void add_loss(std::vector<OperatorCase>& cases, const Rows& shapes);
void add_products(std::vector<OperatorCase>& cases, const ProductShapes& shapes);
/// Twice the same product onto c: with a bias as aligned as memory is, then with one that is aligned to an element.
void add_products_with_shifted_bias(std::vector<OperatorCase>& cases, const ProductShapes& shapes);

}  // namespace lora_dist::operators
