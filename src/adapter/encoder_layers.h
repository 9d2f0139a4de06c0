// Layers of the networks that make virtual tokens: on the host, in f32, a row per virtual token. Backwards follow from the
// layer's input and output.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// A matrix [rows, cols].
struct HostRows {
  HostRows(std::int64_t of_rows, std::int64_t of_cols)
      : rows(of_rows), cols(of_cols), values(static_cast<std::size_t>(of_rows * of_cols)) {}

  TensorView whole() { return view(values.data(), {rows, cols}); }
  ConstTensorView whole() const { return view(values.data(), {rows, cols}); }
  float* row(std::int64_t r) { return values.data() + r * cols; }
  const float* row(std::int64_t r) const { return values.data() + r * cols; }

  std::int64_t rows;
  std::int64_t cols;
  std::vector<float> values;
};

/// y = x W^T + b. weight: [out, in]; bias: [out].
struct DenseLayer {
  ConstTensorView weight;
  ConstTensorView bias;
};
struct DenseGradients {
  TensorView weight;
  TensorView bias;
};
HostRows dense_forward(const DenseLayer& layer, const HostRows& x, const Stream& stream);
/// Writes the layer's gradients and returns dx.
HostRows dense_backward(const DenseLayer& layer, const HostRows& x, const HostRows& dy, const DenseGradients& gradients,
                        const Stream& stream);

enum class HostActivation : std::uint8_t { relu, tanh };
void activate(HostActivation activation, HostRows& x);
/// dy becomes dx. y: the activation's output.
void activate_backward(HostActivation activation, const HostRows& y, HostRows& dy);

/// One direction of an LSTM layer (torch.nn.LSTM: gates i, f, g, o). Rows follow each other in time, last to first if `reverse`.
struct LstmLayer {
  ConstTensorView input_weight;   // [4 hidden, in]
  ConstTensorView hidden_weight;  // [4 hidden, hidden]
  ConstTensorView input_bias;     // [4 hidden]
  ConstTensorView hidden_bias;    // [4 hidden]
  bool reverse = false;
};
struct LstmGradients {
  TensorView input_weight;
  TensorView hidden_weight;
  TensorView input_bias;
  TensorView hidden_bias;
};
/// What forward keeps, in the order of x's rows.
struct LstmStates {
  HostRows gates;   // [rows, 4 hidden], after sigmoid and tanh
  HostRows cells;   // [rows, hidden]
  HostRows hidden;  // [rows, hidden]: the output
};
LstmStates lstm_forward(const LstmLayer& layer, const HostRows& x, const Stream& stream);
/// Writes the layer's gradients and returns dx. dy: [rows, hidden]
HostRows lstm_backward(const LstmLayer& layer, const HostRows& x, const LstmStates& states, const HostRows& dy,
                       const LstmGradients& gradients, const Stream& stream);

}  // namespace lora_dist
