// Small matrices are decomposed whole; of large ones only the largest singular values are computed, by Lanczos' method.
#include "src/adapter/weight_factors.h"

#define EIGEN_DONT_PARALLELIZE  // threads are oneTBB's
#include <Spectra/SymEigsSolver.h>
#include <Eigen/Dense>

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/common/parallel.h"
#include "src/core/error.h"

namespace lora_dist {

namespace {

using Eigen::Index;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::VectorXd;

constexpr Index kDecomposedWhole = 256;  // the smaller side of a matrix; larger ones cost seconds
constexpr Index kPieceOfRows = 64;

Matrix in_double(const HostWeight& weight) {
  const Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> values(weight.values.data(),
                                                                                                       weight.out, weight.in);
  return values.cast<double>();
}

/// Singular values, largest first, with their vectors in columns.
struct Singular {
  VectorXd values;
  Eigen::MatrixXd left;   // [out, r]
  Eigen::MatrixXd right;  // [in, r]
};

Singular decompose_whole(const Matrix& weight, Index r) {
  const Eigen::BDCSVD<Eigen::MatrixXd> all(weight, Eigen::ComputeThinU | Eigen::ComputeThinV);
  return {all.singularValues().head(r), all.matrixU().leftCols(r), all.matrixV().leftCols(r)};
}

/// y = W^T W x, or W W^T x of a wide matrix, for Spectra.
class GramProduct {
 public:
  using Scalar = double;
  GramProduct(const Matrix& weight, const Matrix& turned, const Stream& stream)
      : weight_(weight), turned_(turned), stream_(stream), between_(weight.rows()) {}
  Index rows() const { return weight_.cols(); }
  Index cols() const { return weight_.cols(); }
  void perform_op(const double* x, double* y) const {
    multiply(weight_, Eigen::Map<const VectorXd>(x, rows()), between_.data());
    multiply(turned_, between_, y);
  }

 private:
  template <class Vector>
  void multiply(const Matrix& matrix, const Vector& x, double* y) const {
    parallel_ranges(matrix.rows(), kPieceOfRows, stream_, [&](Index begin, Index end) {
      Eigen::Map<VectorXd>(y + begin, end - begin).noalias() = matrix.middleRows(begin, end - begin) * x;
    });
  }
  const Matrix& weight_;
  const Matrix& turned_;
  const Stream& stream_;
  mutable VectorXd between_;
};

/// `tall`: [m, n] with m >= n, and its transpose.
Singular decompose_tall(const Matrix& tall, const Matrix& turned, Index r, const Stream& stream) {
  GramProduct gram(tall, turned, stream);
  const Index basis = std::min(tall.cols(), std::max<Index>(2 * r + 1, 20));  // as Spectra advises
  Spectra::SymEigsSolver<GramProduct> solver(gram, r, basis);
  solver.init();
  constexpr Index kRestarts = 1000;
  constexpr double kTolerance = 1e-12;  // of an eigenvalue, a squared singular value
  if (solver.compute(Spectra::SortRule::LargestAlge, kRestarts, kTolerance) < r) {
    throw Error(ExitCode::model, "the singular values of a weight do not converge; take adapter.init = \"default\"");
  }
  Singular out;
  out.right = solver.eigenvectors();
  out.left = tall * out.right;
  out.values = out.left.colwise().norm();
  for (Index i = 0; i < r; ++i) {
    if (out.values[i] > 0.0) {
      out.left.col(i) /= out.values[i];
    }
  }
  return out;
}

Singular decompose(const Matrix& weight, Index r, const Stream& stream) {
  const Index smaller = std::min(weight.rows(), weight.cols());
  if (smaller <= kDecomposedWhole || 2 * r + 1 > smaller || weight.isZero(0.0)) {  // Lanczos' method needs a direction
    return decompose_whole(weight, r);
  }
  const Matrix turned = weight.transpose();
  if (weight.rows() >= weight.cols()) {
    return decompose_tall(weight, turned, r, stream);
  }
  Singular of_turned = decompose_tall(turned, weight, r, stream);
  std::swap(of_turned.left, of_turned.right);
  return of_turned;
}

void check_rank(const HostWeight& weight, std::int64_t r) {
  require(r >= 0 && r <= std::min(weight.out, weight.in), "a weight has no factors of a rank above its size");
}

std::vector<float> row_major(const Matrix& matrix) { return {matrix.data(), matrix.data() + matrix.size()}; }

}  // namespace

WeightFactors principal_factors(const HostWeight& weight, std::int64_t r, double scale, const Stream& stream) {
  check_rank(weight, r);
  Singular of = decompose(in_double(weight), r, stream);
  for (Index i = 0; i < r; ++i) {
    Index largest = 0;
    of.right.col(i).cwiseAbs().maxCoeff(&largest);
    const double root = std::sqrt(of.values[i] / scale) * (of.right(largest, i) < 0.0 ? -1.0 : 1.0);
    of.right.col(i) *= root;
    of.left.col(i) *= root;
  }
  return {row_major(of.right.transpose()), row_major(of.left)};
}

WeightFactors orthonormal_factors(const HostWeight& weight, std::int64_t r) {
  check_rank(weight, r);
  const Matrix values = in_double(weight);
  const Eigen::MatrixXd first = values.leftCols(r);  // the others follow in Q, and do not change these
  const Eigen::MatrixXd q =
      Eigen::HouseholderQR<Eigen::MatrixXd>(first).householderQ() * Eigen::MatrixXd::Identity(weight.out, r);
  return {row_major(q.transpose() * values), row_major(q)};
}

}  // namespace lora_dist
