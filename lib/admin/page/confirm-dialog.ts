import { sentence } from './api.js';
import { element, say } from './dom.js';

export interface Ask {
  readonly title: string;
  readonly text: string;
  readonly button: string;
  readonly identity: string;
  readonly asksForDuration?: boolean;
  /** Gets the length of time that was typed, empty where none was asked for. */
  readonly act: (duration: string) => Promise<void>;
}

let current: Ask | undefined;

/** Asks back before something is done; the dialog stays while it fails, and says why. */
export function ask(question: Ask): void {
  current = question;
  const field = element<HTMLInputElement>('duration');
  say(element('ask-title'), question.title);
  say(element('ask-identity'), question.identity);
  say(element('ask-text'), question.text);
  say(element('ask-error'), '');
  say(element('ask-yes'), question.button);
  element('ask-duration').hidden = !question.asksForDuration;
  field.disabled = !question.asksForDuration;
  element<HTMLDialogElement>('ask').showModal();
  if (question.asksForDuration) field.select();
  else element('ask-no').focus();
}

export function prepareDialog(): void {
  const dialog = element<HTMLDialogElement>('ask');
  const yes = element<HTMLButtonElement>('ask-yes');
  element('ask-no').addEventListener('click', () => dialog.close());
  element<HTMLFormElement>('ask-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const asked = current;
    if (asked === undefined || yes.disabled) return;
    yes.disabled = true;
    say(element('ask-error'), '');
    try {
      await asked.act(asked.asksForDuration ? element<HTMLInputElement>('duration').value.trim() : '');
      if (current === asked) dialog.close();
    } catch (error) {
      say(element('ask-error'), `That failed. ${sentence(error)}`);
    } finally {
      yes.disabled = false;
    }
  });
}
