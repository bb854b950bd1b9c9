// DermClassifier.java -> derm.h. No state; a failure becomes a DermException.

#include <jni.h>

#include <cstring>
#include <string>
#include <vector>

#include "derm.h"

namespace {

// Java's characters are UTF-16, and JNI's UTF-8 is not quite UTF-8: both ways go through String's own coding.
std::string to_utf8(JNIEnv* env, jstring text) {
    if (text == nullptr) {
        return {};
    }
    jclass type = env->FindClass("java/lang/String");
    jmethodID bytes_of = env->GetMethodID(type, "getBytes", "(Ljava/lang/String;)[B");
    auto bytes = static_cast<jbyteArray>(env->CallObjectMethod(text, bytes_of, env->NewStringUTF("UTF-8")));
    if (bytes == nullptr) {
        return {};
    }
    std::string found(static_cast<std::size_t>(env->GetArrayLength(bytes)), '\0');
    env->GetByteArrayRegion(bytes, 0, static_cast<jsize>(found.size()), reinterpret_cast<jbyte*>(found.data()));
    return found;
}

jstring from_utf8(JNIEnv* env, const char* text, std::size_t size) {
    jbyteArray bytes = env->NewByteArray(static_cast<jsize>(size));
    if (bytes == nullptr) {
        return nullptr;
    }
    env->SetByteArrayRegion(bytes, 0, static_cast<jsize>(size), reinterpret_cast<const jbyte*>(text));
    jclass type = env->FindClass("java/lang/String");
    jmethodID make = env->GetMethodID(type, "<init>", "([BLjava/lang/String;)V");
    return static_cast<jstring>(env->NewObject(type, make, bytes, env->NewStringUTF("UTF-8")));
}

void raise(JNIEnv* env, const derm_error& error) {
    jclass type = env->FindClass("org/dermsdk/DermClassifier$DermException");
    if (type == nullptr) {
        return;
    }
    jmethodID make = env->GetMethodID(type, "<init>", "(ILjava/lang/String;)V");
    jstring text = from_utf8(env, error.text, std::strlen(error.text));
    if (make != nullptr && text != nullptr) {
        env->Throw(static_cast<jthrowable>(env->NewObject(type, make, static_cast<jint>(error.status), text)));
    }
}

// Planes of direct buffers. False with a Java exception where one is none.
bool read_planes(JNIEnv* env, jobjectArray planes, jintArray strides, derm_image& image) {
    jint found[3] = {};
    const jsize count = env->GetArrayLength(planes);
    if (count > 3 || env->GetArrayLength(strides) != count) {
        return false;
    }
    env->GetIntArrayRegion(strides, 0, count, found);
    for (jsize i = 0; i < count; ++i) {
        jobject buffer = env->GetObjectArrayElement(planes, i);
        image.planes[i] = static_cast<const std::uint8_t*>(env->GetDirectBufferAddress(buffer));
        const jlong bytes = env->GetDirectBufferCapacity(buffer);
        image.bytes[i] = bytes < 0 ? 0 : static_cast<std::size_t>(bytes);
        image.strides[i] = found[i] < 0 ? 0 : static_cast<std::size_t>(found[i]);
    }
    return true;
}

}  // namespace

extern "C" {

JNIEXPORT jlong JNICALL Java_org_dermsdk_DermClassifier_nativeOpen(JNIEnv* env, jclass, jstring path, jint threads, jstring litert) {
    const std::string file = to_utf8(env, path), library = to_utf8(env, litert);
    derm_options options{};
    options.struct_size = sizeof options;
    options.threads = threads;
    options.litert_path = library.empty() ? nullptr : library.c_str();
    derm_classifier* classifier = nullptr;
    derm_error error;
    if (derm_open(path == nullptr ? nullptr : file.c_str(), &options, &classifier, &error) != DERM_OK) {
        raise(env, error);
    }
    return reinterpret_cast<jlong>(classifier);
}

JNIEXPORT jstring JNICALL Java_org_dermsdk_DermClassifier_nativeClassify(JNIEnv* env, jclass, jlong handle, jint format, jint width,
                                                                         jint height, jint rotation, jobjectArray planes,
                                                                         jintArray strides, jint skin_type) {
    derm_image image{};
    image.struct_size = sizeof image;
    image.format = format;
    image.width = width;
    image.height = height;
    image.rotation = rotation;
    derm_error error{DERM_ARGUMENT_NULL, "The planes and strides of the image do not fit."};
    derm_result* result = nullptr;
    if (!read_planes(env, planes, strides, image) ||
        derm_classify(reinterpret_cast<derm_classifier*>(handle), &image, skin_type, DERM_AS_OPENED, &result, &error) != DERM_OK) {
        raise(env, error);
        return nullptr;
    }
    std::size_t size = 0;
    const char* json = derm_result_json(result, &size);
    jstring text = from_utf8(env, json, size);
    derm_result_free(result);
    return text;
}

JNIEXPORT void JNICALL Java_org_dermsdk_DermClassifier_nativeSetPrior(JNIEnv* env, jclass, jlong handle, jobjectArray nodes,
                                                                      jdoubleArray shares) {
    const jsize count = nodes == nullptr || shares == nullptr ? 0 : env->GetArrayLength(nodes);
    std::vector<double> values(static_cast<std::size_t>(count));
    std::vector<std::string> names;
    std::vector<derm_share> prior;
    if (count > 0) {
        env->GetDoubleArrayRegion(shares, 0, count, values.data());
    }
    for (jsize i = 0; i < count; ++i) {
        auto name = static_cast<jstring>(env->GetObjectArrayElement(nodes, i));
        names.push_back(to_utf8(env, name));
        env->DeleteLocalRef(name);
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
        prior.push_back({names[i].c_str(), values[i]});
    }
    const derm_share none{};
    derm_error error;
    if (derm_set_prior(reinterpret_cast<derm_classifier*>(handle), nodes == nullptr ? nullptr : prior.empty() ? &none : prior.data(),
                       prior.size(), &error) != DERM_OK) {
        raise(env, error);
    }
}

JNIEXPORT void JNICALL Java_org_dermsdk_DermClassifier_nativeClose(JNIEnv*, jclass, jlong handle) {
    derm_close(reinterpret_cast<derm_classifier*>(handle));
}

}  // extern "C"
