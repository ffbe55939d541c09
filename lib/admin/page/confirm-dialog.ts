import { toSentence } from './api.js';
import { byId, setText } from './dom.js';

export interface Confirmation {
  readonly title: string;
  readonly text: string;
  readonly button: string;
  readonly identity: string;
  readonly hasDuration?: boolean;
  /** Receives the entered duration, or an empty text if there is no field for it. */
  readonly run: (duration: string) => Promise<void>;
}

let current: Confirmation | undefined;

/** Opens a dialog that confirms an action. If the action fails, the dialog stays open and shows the error. */
export function confirmAction(confirmation: Confirmation): void {
  current = confirmation;
  const field = byId<HTMLInputElement>('duration');
  setText(byId('confirm-title'), confirmation.title);
  setText(byId('confirm-identity'), confirmation.identity);
  setText(byId('confirm-text'), confirmation.text);
  setText(byId('confirm-error'), '');
  setText(byId('confirm-submit'), confirmation.button);
  byId('confirm-duration').hidden = !confirmation.hasDuration;
  field.disabled = !confirmation.hasDuration;
  byId<HTMLDialogElement>('confirm').showModal();
  if (confirmation.hasDuration) field.select();
  else byId('confirm-cancel').focus();
}

export function prepareDialog(): void {
  const dialog = byId<HTMLDialogElement>('confirm');
  const submit = byId<HTMLButtonElement>('confirm-submit');
  byId('confirm-cancel').addEventListener('click', () => dialog.close());
  byId<HTMLFormElement>('confirm-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const confirmation = current;
    if (confirmation === undefined || submit.disabled) return;
    submit.disabled = true;
    setText(byId('confirm-error'), '');
    try {
      await confirmation.run(confirmation.hasDuration ? byId<HTMLInputElement>('duration').value.trim() : '');
      if (current === confirmation) dialog.close();
    } catch (error) {
      setText(byId('confirm-error'), `The request failed. ${toSentence(error)}`);
    } finally {
      submit.disabled = false;
    }
  });
}
