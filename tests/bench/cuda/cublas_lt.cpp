#include "tests/bench/cuda/cublas_lt.h"

#include <dlfcn.h>

#include <stdexcept>
#include <vector>

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <cuda.h>
#define QUIRE_HAS_CUBLAS_LT 1
#endif

namespace quire::engine::bench {

#ifdef QUIRE_HAS_CUBLAS_LT

namespace {

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

// The library's matrices are column-major: a row-major [rows, k] is its [k, rows].
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

  const auto n = static_cast<std::uint64_t>(weight.rows());
  const auto m = static_cast<std::uint64_t>(x.rows());
  const auto k = static_cast<std::uint64_t>(x.cols());
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t of_a = nullptr;
  cublasLtMatrixLayout_t of_b = nullptr;
  cublasLtMatrixLayout_t of_c = nullptr;
  check(lt.desc_create(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "description");
  const cublasOperation_t transposed = CUBLAS_OP_T;
  check(lt.desc_set(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed),
        "description");
  check(lt.layout_create(&of_a, data_type(dtype), k, n, static_cast<std::int64_t>(k)), "layout");
  check(lt.layout_create(&of_b, data_type(dtype), k, m, static_cast<std::int64_t>(k)), "layout");
  check(lt.layout_create(&of_c, CUDA_R_32F, n, m, static_cast<std::int64_t>(n)), "layout");
  const float one = 1.0f;
  const float zero = 0.0f;
  check(lt.matmul(lt.handle, desc, &one, a.data(), of_a, b.data(), of_b, &zero, c.data(), of_c,
                  c.data(), of_c, nullptr, nullptr, 0, nullptr),
        "cublasLtMatmul");
  check(lt.synchronize(), "cuCtxSynchronize");
  check(lt.to_host(out.data(), c.address(), out_bytes), "cuMemcpyDtoH");
  for (const cublasLtMatrixLayout_t layout : {of_a, of_b, of_c}) (void)lt.layout_destroy(layout);
  (void)lt.desc_destroy(desc);
  return out;
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

#endif

}  // namespace quire::engine::bench
