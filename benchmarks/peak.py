"""The speed of TensorFlow's float32 matrix product on all cores that the process may use, in operations per second."""

import time

import tensorflow as tf

SIZE = 2048
REPEATS = 20


def main() -> None:
    matrix = tf.random.stateless_uniform([SIZE, SIZE], seed=[1, 2])
    product = tf.function(tf.linalg.matmul)
    product(matrix, matrix)  # traced
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        product(matrix, matrix).numpy()
        seconds.append(time.perf_counter() - begin)
    print(2 * SIZE**3 / min(seconds))


if __name__ == "__main__":
    main()
