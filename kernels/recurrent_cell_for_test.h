// Recurrent cells by their definition in float64: what the kernels of every device are held against.
#pragma once

#include <cmath>
#include <functional>

namespace lockstep::kernels {

inline double ExactSigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// One unit of a cell in double: PyTorch's equations.
struct LstmState {
  double c, h;
};
inline LstmState LstmUnit(const double (&a)[4], double c_before) {
  const double c = ExactSigmoid(a[1]) * c_before + ExactSigmoid(a[0]) * std::tanh(a[2]);
  return {c, ExactSigmoid(a[3]) * std::tanh(c)};
}
inline double GruUnit(const double (&x)[3], const double (&h)[3], double h_before) {
  const double r = ExactSigmoid(x[0] + h[0]), z = ExactSigmoid(x[1] + h[1]), n = std::tanh(x[2] + r * h[2]);
  return (1 - z) * n + z * h_before;
}

inline double Slope(const std::function<double(double)>& f, double at) {
  return (f(at + 1e-5) - f(at - 1e-5)) / 2e-5;
}

}  // namespace lockstep::kernels
