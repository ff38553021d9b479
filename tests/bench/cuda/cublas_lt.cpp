#include "tests/bench/cuda/cublas_lt.h"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <vector>

#include "tests/bench/cuda/benchmarks.h"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <cuda.h>
#define QUIRE_HAS_CUBLAS_LT 1
#endif

namespace quire::engine::bench {

#ifdef QUIRE_HAS_CUBLAS_LT

namespace {

constexpr std::size_t kWorkspace = std::size_t{64} << 20;
constexpr std::int64_t kMoreThanCaches = std::int64_t{256} << 20;

void* open_any(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
  }
  return nullptr;
}

template <typename Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) throw std::runtime_error(std::string(name) + " is missing");
}

template <typename Status>
void check(Status status, const char* what) {
  if (static_cast<int>(status) == 0) return;
  throw std::runtime_error(std::string(what) + ": status " +
                           std::to_string(static_cast<int>(status)));
}

cudaDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat16:
      return CUDA_R_16F;
    case DType::kBFloat16:
      return CUDA_R_16BF;
    default:
      return CUDA_R_32F;
  }
}

}  // namespace

#define QUIRE_NAME_OF(function) #function
#define QUIRE_NAME(function) QUIRE_NAME_OF(function)
// A function of a library under its own name, as the headers declare and version it.
#define QUIRE_FIND(library, member, function) find(library, QUIRE_NAME(function), member)

struct CublasLt::Library {
  Library(void* driver, void* cublas) {
    QUIRE_FIND(driver, mem_alloc, cuMemAlloc);
    QUIRE_FIND(driver, mem_free, cuMemFree);
    QUIRE_FIND(driver, to_device, cuMemcpyHtoD);
    QUIRE_FIND(driver, to_host, cuMemcpyDtoH);
    QUIRE_FIND(driver, synchronize, cuCtxSynchronize);
    QUIRE_FIND(cublas, create, cublasLtCreate);
    QUIRE_FIND(cublas, destroy, cublasLtDestroy);
    QUIRE_FIND(cublas, desc_create, cublasLtMatmulDescCreate);
    QUIRE_FIND(cublas, desc_destroy, cublasLtMatmulDescDestroy);
    QUIRE_FIND(cublas, desc_set, cublasLtMatmulDescSetAttribute);
    QUIRE_FIND(cublas, layout_create, cublasLtMatrixLayoutCreate);
    QUIRE_FIND(cublas, layout_destroy, cublasLtMatrixLayoutDestroy);
    QUIRE_FIND(cublas, matmul, cublasLtMatmul);
    QUIRE_FIND(cublas, preference_create, cublasLtMatmulPreferenceCreate);
    QUIRE_FIND(cublas, preference_destroy, cublasLtMatmulPreferenceDestroy);
    QUIRE_FIND(cublas, preference_set, cublasLtMatmulPreferenceSetAttribute);
    QUIRE_FIND(cublas, heuristic, cublasLtMatmulAlgoGetHeuristic);
    check(create(&handle), "cublasLtCreate");
  }
  ~Library() { (void)destroy(handle); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  decltype(&cuMemAlloc) mem_alloc = nullptr;
  decltype(&cuMemFree) mem_free = nullptr;
  decltype(&cuMemcpyHtoD) to_device = nullptr;
  decltype(&cuMemcpyDtoH) to_host = nullptr;
  decltype(&cuCtxSynchronize) synchronize = nullptr;
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtMatmulDescCreate) desc_create = nullptr;
  decltype(&cublasLtMatmulDescDestroy) desc_destroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = nullptr;
  cublasLtHandle_t handle = nullptr;
};

namespace {

// A copy in device memory, given back at the end.
template <typename Library>
class DeviceCopy {
 public:
  DeviceCopy(const Library& library, std::size_t bytes) : library_(&library) {
    check(library.mem_alloc(&data_, bytes), "cuMemAlloc");
  }
  DeviceCopy(const Library& library, const std::vector<std::byte>& from)
      : DeviceCopy(library, from.size()) {
    check(library.to_device(data_, from.data(), from.size()), "cuMemcpyHtoD");
  }
  ~DeviceCopy() { (void)library_->mem_free(data_); }
  DeviceCopy(const DeviceCopy&) = delete;
  DeviceCopy& operator=(const DeviceCopy&) = delete;
  [[nodiscard]] CUdeviceptr address() const { return data_; }
  [[nodiscard]] void* data() const { return reinterpret_cast<void*>(data_); }

 private:
  const Library* library_;
  CUdeviceptr data_ = 0;
};

struct Size {
  std::int64_t m, n, k;
};

// What x weight^T is to the library, whose matrices are column-major: a row-major [rows, k] is its
// [k, rows].
template <typename Library>
struct Problem {
  Problem(const Library& library, const Size& size, cudaDataType_t in, cudaDataType_t out)
      : lt(&library) {
    const auto n = static_cast<std::uint64_t>(size.n);
    const auto m = static_cast<std::uint64_t>(size.m);
    const auto k = static_cast<std::uint64_t>(size.k);
    check(lt->desc_create(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "description");
    const cublasOperation_t transposed = CUBLAS_OP_T;
    check(lt->desc_set(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed),
          "description");
    check(lt->layout_create(&a, in, k, n, size.k), "layout");
    check(lt->layout_create(&b, in, k, m, size.k), "layout");
    check(lt->layout_create(&c, out, n, m, size.n), "layout");
  }
  ~Problem() {
    for (const cublasLtMatrixLayout_t layout : {a, b, c}) (void)lt->layout_destroy(layout);
    (void)lt->desc_destroy(desc);
  }
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  const Library* lt;
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t a = nullptr;
  cublasLtMatrixLayout_t b = nullptr;
  cublasLtMatrixLayout_t c = nullptr;
};

template <typename Library>
cublasLtMatmulAlgo_t first_choice(const Library& lt, const Problem<Library>& problem) {
  cublasLtMatmulPreference_t preference = nullptr;
  check(lt.preference_create(&preference), "preference");
  check(lt.preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kWorkspace,
                          sizeof kWorkspace),
        "preference");
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  check(lt.heuristic(lt.handle, problem.desc, problem.a, problem.b, problem.c, problem.c,
                     preference, 1, &result, &found),
        "cublasLtMatmulAlgoGetHeuristic");
  (void)lt.preference_destroy(preference);
  if (found == 0) throw std::runtime_error("cuBLASLt knows no algorithm");
  return result.algo;
}

// Device memory with random bfloat16, one block of it over and over.
template <typename Library>
std::unique_ptr<DeviceCopy<Library>> random_copy(const Library& lt, std::int64_t bytes) {
  std::mt19937 random(17);
  std::vector<std::byte> block;
  (void)Matrix::random(1, 1 << 20, random).as_weight(DType::kBFloat16, block);
  auto copy = std::make_unique<DeviceCopy<Library>>(lt, static_cast<std::size_t>(bytes));
  const auto step = static_cast<std::int64_t>(block.size());
  for (std::int64_t at = 0; at < bytes; at += step) {
    const auto size = static_cast<std::size_t>(std::min(step, bytes - at));
    check(lt.to_device(copy->address() + static_cast<CUdeviceptr>(at), block.data(), size),
          "cuMemcpyHtoD");
  }
  return copy;
}

}  // namespace

std::unique_ptr<CublasLt> CublasLt::open(std::string& why) {
  void* driver = open_any({"libcuda.so.1"});
  if (driver == nullptr) {
    why = "no libcuda.so.1";
    return nullptr;
  }
  void* cublas =
      open_any({"libcublasLt.so.13", "libcublasLt.so", "/usr/local/cuda/lib64/libcublasLt.so.13",
                "/usr/local/cuda/lib64/libcublasLt.so"});
  if (cublas == nullptr) {
    why = "no libcublasLt.so";
    return nullptr;
  }
  return std::unique_ptr<CublasLt>(new CublasLt(std::make_unique<Library>(driver, cublas)));
}

CublasLt::CublasLt(std::unique_ptr<Library> library) : library_(std::move(library)) {}
CublasLt::~CublasLt() = default;

Matrix CublasLt::product(const Matrix& x, const Matrix& weight, DType dtype) {
  const Library& lt = *library_;
  std::vector<std::byte> bytes;
  (void)weight.as_weight(dtype, bytes);
  const DeviceCopy a(lt, bytes);
  (void)x.as_weight(dtype, bytes);
  const DeviceCopy b(lt, bytes);
  Matrix out(x.rows(), weight.rows());
  const auto out_bytes = static_cast<std::size_t>(out.rows() * out.cols()) * sizeof(float);
  const DeviceCopy<Library> c(lt, out_bytes);

  const Problem<Library> problem(lt, {x.rows(), weight.rows(), x.cols()}, data_type(dtype),
                                 CUDA_R_32F);
  const float one = 1.0f;
  const float zero = 0.0f;
  check(lt.matmul(lt.handle, problem.desc, &one, a.data(), problem.a, b.data(), problem.b, &zero,
                  c.data(), problem.c, c.data(), problem.c, nullptr, nullptr, 0, nullptr),
        "cublasLtMatmul");
  check(lt.synchronize(), "cuCtxSynchronize");
  check(lt.to_host(out.data(), c.address(), out_bytes), "cuMemcpyDtoH");
  return out;
}

double CublasLt::seconds(std::int64_t m, std::int64_t n, std::int64_t k) {
  const Library& lt = *library_;
  const Problem<Library> problem(lt, {m, n, k}, CUDA_R_16BF, CUDA_R_16BF);
  const std::int64_t weight_bytes = n * k * 2;
  const std::int64_t weights = kMoreThanCaches / weight_bytes + 1;
  const auto a = random_copy(lt, weight_bytes * weights);
  const auto b = random_copy(lt, m * k * 2);
  const DeviceCopy c(lt, static_cast<std::size_t>(m * n) * 2);
  const DeviceCopy workspace(lt, kWorkspace);
  const cublasLtMatmulAlgo_t algorithm = first_choice(lt, problem);
  const float one = 1.0f;
  const float zero = 0.0f;
  const auto measure = [&](int times) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < times; ++i) {
      const auto* weight = static_cast<const std::byte*>(a->data()) + i % weights * weight_bytes;
      check(lt.matmul(lt.handle, problem.desc, &one, weight, problem.a, b->data(), problem.b, &zero,
                      c.data(), problem.c, c.data(), problem.c, &algorithm, workspace.data(),
                      kWorkspace, nullptr),
            "cublasLtMatmul");
    }
    check(lt.synchronize(), "cuCtxSynchronize");
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / times;
  };
  (void)measure(3);
  return measure(repeats_of(measure(3)));
}

#else

struct CublasLt::Library {};

std::unique_ptr<CublasLt> CublasLt::open(std::string& why) {
  why = "built without cublasLt.h";
  return nullptr;
}
CublasLt::CublasLt(std::unique_ptr<Library> library) : library_(std::move(library)) {}
CublasLt::~CublasLt() = default;
Matrix CublasLt::product(const Matrix&, const Matrix&, DType) {
  throw std::runtime_error("built without cublasLt.h");
}
double CublasLt::seconds(std::int64_t, std::int64_t, std::int64_t) {
  throw std::runtime_error("built without cublasLt.h");
}

#endif

}  // namespace quire::engine::bench
