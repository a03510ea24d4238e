// The data sets we know: what they are made of, by which checksum each file is recognised, and where they can be had.

/** The four files of a data set in MNIST's layout. */
export type Part = "trainImages" | "trainLabels" | "testImages" | "testLabels";

/** How one file is recognised. */
export interface SourceFile {
  /** The file's name without `.gz`. */
  name: string;
  /**
   * SHA-256 of the decompressed content. Compressed files differ from one distributor to the next (Debian packs
   * Fashion-MNIST anew); what they hold must not.
   */
  sha256: string;
  /** Bytes of the decompressed content. */
  bytes: number;
}

/** A data set in MNIST's layout and where it can be had. */
export interface Source {
  name: string;
  classes: string[];
  files: Record<Part, SourceFile>;
  /**
   * Which images are for decisions: so many, each class with its share, the same ones always, out of the file for
   * training or of the one for testing; 0 keeps none. Default: a tenth of those for training.
   */
  validation?: { from: "train" | "test"; count: number };
  /** Folders where the files may lie already; one that starts with no `/` is inside slimlab's package. */
  folders: string[];
  /** Addresses in front of `NAME.gz`, tried in order; each ends in `/`. */
  urls: string[];
  /** What else a person can do to get it, as a sentence. */
  hint?: string;
}

const clothes = [
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot",
];

const digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/** 47 MB of images are 60,000 pictures of 28 x 28 bytes and a header of 16. */
const imageBytes = (count: number) => 16 + count * 28 * 28;
const labelBytes = (count: number) => 8 + count;

function files(train: number, test: number, sha256: Record<Part, string>): Record<Part, SourceFile> {
  return {
    trainImages: {
      name: "train-images-idx3-ubyte",
      sha256: sha256.trainImages,
      bytes: imageBytes(train),
    },
    trainLabels: {
      name: "train-labels-idx1-ubyte",
      sha256: sha256.trainLabels,
      bytes: labelBytes(train),
    },
    testImages: { name: "t10k-images-idx3-ubyte", sha256: sha256.testImages, bytes: imageBytes(test) },
    testLabels: { name: "t10k-labels-idx1-ubyte", sha256: sha256.testLabels, bytes: labelBytes(test) },
  };
}

export const catalogue: Record<string, Source> = {
  // Made by datasets/mnist-10k/make.ts; its README tells where it comes from.
  "mnist-10k": {
    name: "mnist-10k",
    classes: digits,
    files: files(8000, 2000, {
      trainImages: "337b8843df2ba5c900fdbe5ffe02b5bac7ab8fc3e76dfc3c287e50a706e4c6d4",
      trainLabels: "027029f73de86c221bef145c578f08ecf841cc40223961f33738f244e144e58f",
      testImages: "2636795906c8e9fe31d1ed235b92cb4bee3d352820f35930a9d68ec071358b88",
      testLabels: "8c16cc60629dffcdab9cefa7793efdaed526bbf255919d11612e8ab065bb761d",
    }),
    validation: { from: "test", count: 1000 },
    folders: ["datasets/mnist-10k"],
    urls: [],
    hint: "It ships with slimlab: reinstall the package, or in a clone: git checkout datasets/mnist-10k",
  },
  // Made by datasets/fashion-10k/make.ts.
  "fashion-10k": {
    name: "fashion-10k",
    classes: clothes,
    files: files(8000, 2000, {
      trainImages: "f01f8d4489ce89d2d8e1935aa9c9d8c72ee9dae7e41bbc98161c86c1af4c9dfd",
      trainLabels: "89430ee0065bf95e232d5ce24894b080e085d7f869331a381cc5f269d3a3680d",
      testImages: "44e27f3c7b649d99851510a9c3424a1215e4c20bc304d0e72d58f214b5cbdc93",
      testLabels: "95593025db247cddbfb7de84d22917a35ac32560fdb9b13416f5468fb01f5f69",
    }),
    validation: { from: "test", count: 1000 },
    folders: ["datasets/fashion-10k"],
    urls: [],
    hint: "It ships with slimlab: reinstall the package, or in a clone: git checkout datasets/fashion-10k",
  },
  mnist: {
    name: "mnist",
    classes: digits,
    files: files(60000, 10000, {
      trainImages: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
      trainLabels: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
      testImages: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
      testLabels: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }),
    validation: { from: "train", count: 5000 },
    folders: [],
    urls: [
      "https://storage.googleapis.com/cvdf-datasets/mnist/",
      "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ],
  },
  "fashion-mnist": {
    name: "fashion-mnist",
    classes: clothes,
    files: files(60000, 10000, {
      trainImages: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
      trainLabels: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
      testImages: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
      testLabels: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }),
    validation: { from: "train", count: 5000 },
    folders: ["/usr/share/datasets/fashion-mnist"],
    urls: [
      "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
      "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ],
    hint: "On Debian and Ubuntu, apt install dataset-fashion-mnist brings it",
  },
};
