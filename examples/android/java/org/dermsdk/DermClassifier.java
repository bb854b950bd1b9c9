package org.dermsdk;

import java.nio.ByteBuffer;
import java.util.Map;

/**
 * Classifies photos of skin with a .derm file, on the device. A research tool, not a medical device.
 *
 * <pre>{@code
 * try (DermClassifier classifier = DermClassifier.open("/data/.../skin.derm", 1, null)) {
 *     String json = classifier.classify(image);   // docs/result.md
 * }
 * }</pre>
 *
 * One thread at a time may use an object; any number of objects may be used at once. The file must stay as it is while open.
 */
public final class DermClassifier implements AutoCloseable {
    /** What went wrong: {@code status} is the number of derm.h, the message its sentence. */
    public static final class DermException extends RuntimeException {
        private static final long serialVersionUID = 1;

        public final int status;

        DermException(int status, String message) {
            super(message);
            this.status = status;
        }
    }

    /** Pixel formats, in the order of derm_format. */
    public enum Format { RGB, BGR, RGBA, BGRA, GRAY, NV21, NV12, I420 }

    /** A photo in direct buffers: Android's {@code ImageProxy} hands out such planes. Only read during the call. */
    public static final class Image {
        final Format format;
        final int width, height, rotation;
        final ByteBuffer[] planes;
        final int[] strides;

        /**
         * @param width pixels of a row as it lies in memory
         * @param rotation degrees clockwise that make the photo upright: 0, 90, 180 or 270
         * @param planes direct buffers, one for each plane of the format; they are read from their position to their limit
         * @param strides bytes from one row of a plane to the next
         */
        public Image(Format format, int width, int height, int rotation, ByteBuffer[] planes, int[] strides) {
            if (planes.length != strides.length || planes.length < 1 || planes.length > 3) {
                throw new IllegalArgumentException("An image has 1 to 3 planes, each with a stride.");
            }
            this.format = format;
            this.width = width;
            this.height = height;
            this.rotation = rotation;
            this.planes = new ByteBuffer[planes.length];
            for (int i = 0; i < planes.length; i++) {
                if (!planes[i].isDirect()) {
                    throw new IllegalArgumentException("Pixels must be in direct buffers: ByteBuffer.allocateDirect.");
                }
                this.planes[i] = planes[i].slice();
            }
            this.strides = strides.clone();
        }
    }

    static {
        System.loadLibrary("derm_jni");
    }

    private long handle;

    private DermClassifier(long handle) {
        this.handle = handle;
    }

    /**
     * Opens a model and verifies all of it.
     *
     * @param threads that one graph may use, 1 to 64
     * @param litert path of LiteRT's library; null where the system finds libLiteRt.so
     * @throws DermException the file or the library cannot be used
     */
    public static DermClassifier open(String path, int threads, String litert) {
        return new DermClassifier(nativeOpen(path, threads, litert));
    }

    /** Classifies a photo; the skin type is unknown. The result is JSON, schema 1. */
    public String classify(Image image) {
        return classify(image, 0);
    }

    /**
     * Classifies a photo.
     *
     * @param skinType 1 to 6 on Fitzpatrick's scale, or 0 when unknown
     * @return JSON, schema 1
     * @throws DermException the picture cannot be used
     * @throws IllegalStateException this object is closed
     */
    public synchronized String classify(Image image, int skinType) {
        if (handle == 0) {
            throw new IllegalStateException("This classifier is closed; open a new one.");
        }
        return nativeClassify(handle, image.format.ordinal(), image.width, image.height, image.rotation, image.planes,
                image.strides, skinType);
    }

    /**
     * Says how common labels are where the photos come from that are classified from now on: docs/result.md, "Prior".
     *
     * @param prior id or name of a label to its share of the photos; null for the shares of the model's training
     * @throws DermException no such label, or shares that cannot be; what was said before stays
     * @throws IllegalStateException this object is closed
     */
    public synchronized void setPrior(Map<String, Double> prior) {
        if (handle == 0) {
            throw new IllegalStateException("This classifier is closed; open a new one.");
        }
        String[] nodes = prior == null ? null : prior.keySet().toArray(new String[0]);
        double[] shares = prior == null ? null : prior.values().stream().mapToDouble(Double::doubleValue).toArray();
        nativeSetPrior(handle, nodes, shares);
    }

    /** Frees the model. Closing twice does nothing. */
    @Override
    public synchronized void close() {
        nativeClose(handle);
        handle = 0;
    }

    private static native long nativeOpen(String path, int threads, String litert);

    private static native String nativeClassify(long handle, int format, int width, int height, int rotation,
            ByteBuffer[] planes, int[] strides, int skinType);

    private static native void nativeSetPrior(long handle, String[] nodes, double[] shares);

    private static native void nativeClose(long handle);
}
