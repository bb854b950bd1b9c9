// derm_sdk._native: preprocess.h for Python, through the limited API and the buffer protocol, so that one build serves
// every Python from 3.11 on and any NumPy. Private: derm_sdk/preprocess.py is the face.
//
// Every buffer is checked here; the core below trusts its arguments. The GIL is released while the core works.

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>

#include "preprocess.h"

namespace {

// A view of an object's bytes, given back at the end of the scope.
class Bytes {
public:
    Bytes() = default;
    Bytes(const Bytes&) = delete;
    Bytes& operator=(const Bytes&) = delete;
    ~Bytes() {
        if (held_) {
            PyBuffer_Release(&view_);
        }
    }

    // False, with a Python exception set, unless `object` is a C-contiguous buffer of single bytes (and writable, if asked).
    bool open(PyObject* object, const char* name, bool writable) {
        if (!PyObject_CheckBuffer(object)) {
            PyErr_Format(PyExc_TypeError, "%s must be a uint8 array or another buffer of bytes.", name);
            return false;
        }
        if (PyObject_GetBuffer(object, &view_, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0)) != 0) {
            PyErr_Clear();
            PyErr_Format(PyExc_ValueError, "%s must be C-contiguous%s.", name, writable ? " and writable" : "");
            return false;
        }
        held_ = true;
        const char* format = view_.format == nullptr ? "B" : view_.format;
        if (view_.itemsize != 1 || format[0] != 'B' || format[1] != '\0') {
            PyErr_Format(PyExc_TypeError, "%s must hold uint8; got format '%s' of %zd bytes.", name, format, view_.itemsize);
            return false;
        }
        return true;
    }

    std::uint8_t* data() const { return static_cast<std::uint8_t*>(view_.buf); }
    std::size_t size() const { return static_cast<std::size_t>(view_.len); }

    bool overlaps(const Bytes& other) const {
        const std::less<const std::uint8_t*> before;
        return before(data(), other.data() + other.size()) && before(other.data(), data() + size());
    }

private:
    Py_buffer view_{};
    bool held_ = false;
};

// Opens the source and the output of a function, which may not share memory.
bool open_pair(PyObject* source_object, PyObject* out_object, Bytes& source, Bytes& out) {
    if (!source.open(source_object, "the source", false) || !out.open(out_object, "out", true)) {
        return false;
    }
    if (source.overlaps(out)) {
        PyErr_SetString(PyExc_ValueError, "out must not share memory with the source.");
        return false;
    }
    return true;
}

bool in_range(Py_ssize_t value, std::size_t most, const char* name) {
    if (value >= 1 && static_cast<std::size_t>(value) <= most) {
        return true;
    }
    PyErr_Format(PyExc_ValueError, "%s must be within 1..%zu; got %zd.", name, most, value);
    return false;
}

bool has_length(const Bytes& bytes, std::uint64_t wanted, const char* name) {
    if (bytes.size() == wanted) {
        return true;
    }
    PyErr_Format(PyExc_ValueError, "%s must hold %llu bytes; got %zu.", name, static_cast<unsigned long long>(wanted),
                 bytes.size());
    return false;
}

PyObject* py_resize(PyObject*, PyObject* arguments) {
    PyObject *source_object, *out_object;
    Py_ssize_t height, width, size, fit;
    if (!PyArg_ParseTuple(arguments, "OnnOnn:resize", &source_object, &height, &width, &out_object, &size, &fit)) {
        return nullptr;
    }
    Bytes source, out;
    if (!in_range(height, derm::max_side, "height") || !in_range(width, derm::max_side, "width") ||
        !in_range(size, derm::max_size, "size") || !open_pair(source_object, out_object, source, out)) {
        return nullptr;
    }
    if (fit < 0 || fit > 2) {
        return PyErr_Format(PyExc_ValueError, "fit must be 0 (stretch), 1 (crop) or 2 (pad); got %zd.", fit);
    }
    const auto h = static_cast<std::size_t>(height), w = static_cast<std::size_t>(width), s = static_cast<std::size_t>(size);
    if (!has_length(source, std::uint64_t{h} * w * 3, "the source") || !has_length(out, std::uint64_t{s} * s * 3, "out")) {
        return nullptr;
    }
    bool enough_memory = true;
    Py_BEGIN_ALLOW_THREADS
    try {
        derm::resize(source.data(), h, w, out.data(), s, static_cast<derm::Fit>(fit));
    } catch (const std::bad_alloc&) {
        enough_memory = false;
    }
    Py_END_ALLOW_THREADS
    if (!enough_memory) {
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

using Derive = void (*)(const std::uint8_t* source, std::size_t count, std::uint8_t* out);

// The functions that turn `count` pixels into as many: function(source, out).
PyObject* derive(PyObject* arguments, Derive function, std::size_t source_channels, std::size_t out_channels) {
    PyObject *source_object, *out_object;
    if (!PyArg_ParseTuple(arguments, "OO", &source_object, &out_object)) {
        return nullptr;
    }
    Bytes source, out;
    if (!open_pair(source_object, out_object, source, out)) {
        return nullptr;
    }
    const std::size_t count = source.size() / source_channels;
    if (count == 0 || source.size() % source_channels != 0) {
        return PyErr_Format(PyExc_ValueError, "the source must hold one or more pixels of %zu bytes; got %zu bytes.",
                            source_channels, source.size());
    }
    if (!has_length(out, std::uint64_t{count} * out_channels, "out")) {
        return nullptr;
    }
    Py_BEGIN_ALLOW_THREADS
    function(source.data(), count, out.data());
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

PyObject* py_gray(PyObject*, PyObject* arguments) { return derive(arguments, derm::gray, 3, 1); }
PyObject* py_equalized(PyObject*, PyObject* arguments) { return derive(arguments, derm::equalized, 1, 1); }
PyObject* py_otsu(PyObject*, PyObject* arguments) { return derive(arguments, derm::otsu, 1, 1); }
PyObject* py_stretched(PyObject*, PyObject* arguments) { return derive(arguments, derm::stretched, 3, 3); }

PyMethodDef methods[] = {
    {"resize", py_resize, METH_VARARGS, "resize(pixels, height, width, out, size, fit_index): fits a photo into a square."},
    {"gray", py_gray, METH_VARARGS, "gray(rgb, out): luma."},
    {"equalized", py_equalized, METH_VARARGS, "equalized(gray, out): histogram equalisation."},
    {"otsu", py_otsu, METH_VARARGS, "otsu(gray, out): 255 above Otsu's threshold, else 0."},
    {"stretched", py_stretched, METH_VARARGS, "stretched(rgb, out): each channel over its whole range."},
    {nullptr, nullptr, 0, nullptr},
};

int add_constants(PyObject* module) {
    return PyModule_AddIntConstant(module, "PREPROCESSING_VERSION", derm::preprocessing_version);
}

PyModuleDef_Slot slots[] = {{Py_mod_exec, reinterpret_cast<void*>(add_constants)}, {0, nullptr}};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_native", "The compiled preprocessing (private).", 0, methods, slots, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
