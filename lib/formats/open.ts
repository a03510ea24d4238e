// Files whose tensors are read one by one.
import { type OpenFile, openFile } from "#platform";

/** Opens a file and reads its header; closes it again where that fails. */
export async function openWith<T>(
  path: string,
  read: (file: OpenFile, name: string) => Promise<T>,
): Promise<T> {
  const file = await openFile(path);
  try {
    return await read(file, path);
  } catch (error) {
    await file.close();
    throw error;
  }
}
