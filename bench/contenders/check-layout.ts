import { verifyImage } from '../../lib/drill/verify-layout.js';
import type { TestImage } from '../../lib/testing/index.js';
import { WrongContentError } from '../contender.js';

/** Reads every byte back. @throws WrongContentError */
export async function checkLayout(directory: string, name: string, expected: TestImage, title: string): Promise<void> {
  const { problems } = await verifyImage(directory, { host: title, name, image: name, expected });
  if (problems.length > 0) throw new WrongContentError(problems.join('\n'));
}
