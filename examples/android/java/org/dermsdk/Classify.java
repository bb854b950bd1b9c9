package org.dermsdk;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Raw photos through the JNI library, one JSON line each: {@code Classify MODEL LITERT LIST [LABEL=SHARE...]}. LIST has a line
 * per photo: FILE FORMAT WIDTH HEIGHT ROTATION SKIN_TYPE, as tests/native/derm_run.cpp takes it; rows and planes without gaps.
 */
final class Classify {
    private Classify() {}

    public static void main(String[] arguments) throws IOException {
        List<String> lines = Files.readAllLines(Paths.get(arguments[2]));
        java.io.PrintStream out = new java.io.PrintStream(System.out, true, "UTF-8");
        try (DermClassifier classifier = DermClassifier.open(arguments[0], 1, arguments[1])) {
            if (arguments.length > 3) {
                classifier.setPrior(prior(Arrays.asList(arguments).subList(3, arguments.length)));
            }
            for (String line : lines) {
                out.println(classify(classifier, line.split(" ")));
            }
        }
    }

    private static Map<String, Double> prior(List<String> shares) {
        Map<String, Double> found = new LinkedHashMap<>();
        for (String each : shares) {
            int sign = each.lastIndexOf('=');
            found.put(each.substring(0, sign), Double.valueOf(each.substring(sign + 1)));
        }
        return found;
    }

    private static String classify(DermClassifier classifier, String[] fields) throws IOException {
        byte[] bytes = Files.readAllBytes(Paths.get(fields[0]));
        ByteBuffer pixels = ByteBuffer.allocateDirect(bytes.length);
        pixels.put(bytes).flip();
        DermClassifier.Format format = DermClassifier.Format.values()[Integer.parseInt(fields[1])];
        int width = Integer.parseInt(fields[2]), height = Integer.parseInt(fields[3]);
        int[] strides = strides(format, width);
        ByteBuffer[] planes = new ByteBuffer[strides.length];
        for (int i = 0, start = 0; i < planes.length; i++) {
            int end = start + strides[i] * (i == 0 ? height : (height + 1) / 2);
            planes[i] = pixels.duplicate();
            planes[i].position(start).limit(end);
            start = end;
        }
        DermClassifier.Image image = new DermClassifier.Image(format, width, height, Integer.parseInt(fields[4]), planes, strides);
        try {
            return classifier.classify(image, Integer.parseInt(fields[5]));
        } catch (DermClassifier.DermException failure) {
            return failure.status + ": " + failure.getMessage();
        }
    }

    private static int[] strides(DermClassifier.Format format, int width) {
        int half = (width + 1) / 2;
        switch (format) {
            case RGB:
            case BGR:
                return new int[] {3 * width};
            case RGBA:
            case BGRA:
                return new int[] {4 * width};
            case GRAY:
                return new int[] {width};
            case I420:
                return new int[] {width, half, half};
            default:
                return new int[] {width, 2 * half};
        }
    }
}
