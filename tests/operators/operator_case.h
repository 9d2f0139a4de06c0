// One list of operator calls. It drives the tests on the CPU, the tests of CUDA against the CPU, and the benchmark of operators.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist::operators {

/// `activation`: a float in the compute dtype of the run (f32 on the CPU). Every other dtype is as it says.
enum class Kind : std::uint8_t { activation, f32, i32, i64, i8, u8 };
enum class Use : std::uint8_t { in, out, in_out };

/// One tensor of a call. `values` fills it (also integers, all of which a double holds exactly); an `out` starts poisoned.
struct Operand {
  Kind kind = Kind::activation;
  Use use = Use::in;
  Shape shape;
  std::vector<double> values;
};

struct OperatorCase {
  std::string name;   // the operator's
  std::string shape;  // "tokens 5, hidden 64"
  std::vector<Operand> operands;
  std::function<void(std::span<const TensorView>, const Stream&)> call;  // operands in order
  double flops = 0.0;                                                    // products and attention; 0: limited by memory
  double error_16_bit = 1e-5;                                            // normalised mean squared error allowed in bf16 and fp16
};

enum class Size : std::uint8_t { test, benchmark };

/// Test shapes are small and odd; benchmark shapes are those of 4,096 tokens in a block of Llama-3.1-8B.
std::vector<OperatorCase> operator_cases(Size size);

/// The values of every `out` and `in_out` operand after the call, in order.
struct CaseResult {
  std::vector<std::vector<double>> outputs;
  std::vector<bool> whole;  // integers
};

/// Runs the case on `stream`, with activations in `dtype`. Inputs are first rounded to `inputs_as`, so that an f32 run on a bf16
/// run's inputs is its reference.
CaseResult run_case(const OperatorCase& c, const Stream& stream, DType dtype, DType inputs_as);

/// Mean squared difference over the mean square of `expected`; 0 when both are all zero; NaN anywhere gives infinity.
double normalised_error(std::span<const double> expected, std::span<const double> got);

/// Operands of a case in the memory of a stream. For the benchmark, which calls many times.
class PlacedCase {
 public:
  PlacedCase(const OperatorCase& c, const Stream& stream, DType dtype, DType inputs_as);
  PlacedCase(const PlacedCase&) = delete;
  PlacedCase& operator=(const PlacedCase&) = delete;
  ~PlacedCase();

  void call() const;
  CaseResult results() const;
  double bytes() const;  // the least bytes that a call reads and writes

 private:
  const OperatorCase& case_;
  Stream stream_;
  std::vector<TensorView> views_;
};

}  // namespace lora_dist::operators
