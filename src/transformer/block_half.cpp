// Norms and residuals around a half's linears, forward and backward side by side.
#include "src/transformer/block_half.h"

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"

namespace lora_dist {

namespace {

bool norm_first(const BlockInputs& block) { return block.spec->norm_place == NormPlace::before; }

/// y = residual + linear(x), summed over the ranks (own rows of it). Where all ranks keep all rows the product adds the
/// residual, on one of them.
void summed_linear(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView x, const BlockActivations& kept,
                   ConstTensorView residual, TensorView y) {
  const TensorRows& rows = pass.rows;
  if (!rows.divided()) {
    apply_linear_and_sum(block, pass, linear, x, kept, y, has_residual(rows) ? residual : ConstTensorView{});
    return;
  }
  apply_linear(block, pass, linear, x, kept, rows.all.rows(rows.tokens));
  copy(sum_rows(rows, rows.all), y, pass.stream);
  if (residual.data != nullptr) {
    add_to(residual, y, pass.stream);
  }
}

/// With the norm after and all rows there, nothing lies between the linears' input and the hidden state: their gradients go right
/// into gradients.hidden. It is summed over the ranks afterwards, so only the rank that has_residual() adds to what is there; the
/// others overwrite it.
bool adds_in_place(const BlockInputs& block, const LoraPass& pass) { return !norm_first(block) && !pass.rows.divided(); }

}  // namespace

ConstTensorView enter_half(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, ConstTensorView branch) {
  const TensorRows& rows = pass.rows;
  if (norm_first(block)) {
    norm(*half.weights, block.spec->norm_eps, branch, own_part(rows, half.input), half.norm.rows(rows.own()), pass.stream);
  } else if (rows.divided()) {
    copy(branch, own_part(rows, half.input), pass.stream);
  } else {
    return branch;
  }
  return join_rows(rows, half.input);
}

ConstTensorView entered(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, ConstTensorView branch) {
  return norm_first(block) || pass.rows.divided() ? half.input.rows(pass.rows.tokens) : branch;
}

void leave_half(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, Linear out_linear, ConstTensorView x,
                const BlockActivations& kept, ConstTensorView residual, TensorView out) {
  if (norm_first(block)) {
    summed_linear(block, pass, out_linear, x, kept, residual, out);
    return;
  }
  const std::int64_t own = pass.rows.own();
  summed_linear(block, pass, out_linear, x, kept, {}, half.plain.rows(own));
  norm(*half.weights, block.spec->norm_eps, half.plain.rows(own), out, half.norm.rows(own), pass.stream);
  add_to(residual, out, pass.stream);
}

void leave_half_again(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, Linear out_linear,
                      ConstTensorView x, const BlockActivations& kept) {
  if (norm_first(block)) {
    apply_linear_z(block, pass, out_linear, x, kept);
    return;
  }
  const std::int64_t own = pass.rows.own();
  summed_linear(block, pass, out_linear, x, kept, {}, half.plain.rows(own));
  // The normed rows are not needed, only what the norm keeps.
  const TensorView unused = pass.rows.divided() ? own_part(pass.rows, pass.rows.all) : half.input.rows(own);
  norm(*half.weights, block.spec->norm_eps, half.plain.rows(own), unused, half.norm.rows(own), pass.stream);
}

ConstTensorView out_gradient(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half,
                             const BlockGradients& gradients) {
  const TensorRows& rows = pass.rows;
  const TensorView dout = gradients.hidden.rows(rows.own());
  if (norm_first(block)) {
    return rows_of_all(rows, dout);
  }
  const TensorView dplain = own_part(rows, gradients.normed);
  zero(dplain, pass.stream);
  norm_backward(*half.weights, dout, half.plain.rows(rows.own()), half.norm.rows(rows.own()), dplain, pass.stream);
  return join_rows(rows, gradients.normed);
}

HalfInput begin_input_gradient(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, ConstTensorView branch,
                               const BlockGradients& gradients, bool wanted) {
  HalfInput input;
  input.x = entered(block, pass, half, branch);
  const bool in_place = adds_in_place(block, pass);
  input.dx = (in_place ? gradients.hidden : gradients.normed).rows(pass.rows.tokens);
  input.first = in_place && has_residual(pass.rows) ? InputGradient::add : InputGradient::write;
  if (!wanted) {
    input.first = input.others = InputGradient::none;
  }
  return input;
}

void last_input_backward(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView dy,
                         const BlockActivations& kept, HalfInput& input) {
  const InputGradient how = input.next();
  const bool sums = how != InputGradient::none && !pass.rows.divided();
  (sums ? linear_backward_and_sum : linear_backward)(block, pass, linear, dy, input.x, kept, input.dx, how);
}

void end_input_gradient(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, ConstTensorView branch,
                        const BlockGradients& gradients, bool wanted) {
  if (!wanted) {
    return;
  }
  const TensorRows& rows = pass.rows;
  const TensorView dx = rows.divided() ? sum_rows(rows, gradients.normed) : gradients.normed.rows(rows.tokens);
  const TensorView dhidden = gradients.hidden.rows(rows.own());
  if (norm_first(block)) {
    norm_backward(*half.weights, dx, branch, half.norm.rows(rows.own()), dhidden, pass.stream);
  } else if (rows.divided()) {
    add_to(dx, dhidden, pass.stream);
  }
}

}  // namespace lora_dist
